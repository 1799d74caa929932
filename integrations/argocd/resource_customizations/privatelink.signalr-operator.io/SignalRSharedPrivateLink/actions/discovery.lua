-- recreate deletes the link in Azure and requests it once more. It is offered where the operator acts on it at once;
-- elsewhere the annotation would wait for the day on which the link is rejected.
local acts = {
  ApprovalAmbiguous = true,
  ApprovalUnconfirmed = true,
  ConnectionNotFound = true,
  ConnectionTimedOut = true,
  Disconnected = true,
  OperationFailed = true,
  Rejected = true,
}
local recreate = false
for _, condition in ipairs(obj.status and obj.status.conditions or {}) do
  if condition.type == "Ready" and condition.status ~= "True" then
    recreate = acts[condition.reason] or false
  end
end
if obj.metadata.deletionTimestamp ~= nil then
  recreate = false
end
return {
  reconcile = { disabled = false },
  recreate = { disabled = not recreate },
}
