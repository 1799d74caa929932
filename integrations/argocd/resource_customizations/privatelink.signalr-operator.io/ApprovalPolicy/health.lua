local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
local said = ready and ready.reason .. ": " .. ready.message

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Being deleted" }
end
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at this version of the object yet" }
end
if ready.status == "True" then
  return { status = "Healthy", message = said }
end
-- A policy that cannot be read permits nothing until somebody corrects it.
return { status = "Degraded", message = said }
