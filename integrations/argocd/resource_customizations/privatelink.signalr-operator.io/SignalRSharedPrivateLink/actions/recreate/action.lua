-- Any new value makes the operator delete its link and request it once more; that needs a new approval.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["privatelink.signalr-operator.io/recreate-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
