output "client_id" {
  description = "For the value azure.clientId of the chart."
  value       = azurerm_user_assigned_identity.operator.client_id
}

output "tenant_id" {
  description = "For the value azure.tenantId of the chart."
  value       = azurerm_user_assigned_identity.operator.tenant_id
}

output "principal_id" {
  description = "For role assignments elsewhere."
  value       = azurerm_user_assigned_identity.operator.principal_id
}
