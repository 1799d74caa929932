-- The reason and the sentence of the condition Ready are the message: where a person must approve, it holds the
-- command to run.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
local said = ready and ready.reason .. ": " .. ready.message

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = said or "Being deleted" }
end
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at this version of the object yet" }
end
-- Not every Ready=False is a failure: a new link is not Ready for minutes.
if conditions["Stalled"] ~= nil and conditions["Stalled"].status == "True" then
  return { status = "Degraded", message = said }
end
if ready.status == "True" then
  return { status = "Healthy", message = said }
end
-- Nothing goes on until a person approves on the key vault.
if ready.reason == "PendingApproval" or ready.reason == "ApprovalTimedOut" then
  return { status = "Suspended", message = said }
end
return { status = "Progressing", message = said }
