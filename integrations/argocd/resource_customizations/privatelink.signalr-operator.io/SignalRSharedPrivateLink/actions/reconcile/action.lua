-- Any new value makes the operator look at once.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["privatelink.signalr-operator.io/reconcile-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
