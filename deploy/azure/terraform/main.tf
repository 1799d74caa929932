# The identity of the operator: a user-assigned identity that trusts the operator's service account, two custom roles, and their assignments.

data "azurerm_subscription" "current" {}

locals {
  # The files that `az role definition create` takes too. The second role is made only where it is assigned.
  files = merge(
    { link_manager = "link-manager.json" },
    length(var.vault_scopes) > 0 ? { connection_approver = "connection-approver.json" } : {},
  )
  roles             = { for key, file in local.files : key => jsondecode(file("${path.module}/../roles/${file}")) }
  assignable_scopes = length(var.assignable_scopes) > 0 ? var.assignable_scopes : [data.azurerm_subscription.current.id]
}

resource "azurerm_user_assigned_identity" "operator" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
}

resource "azurerm_federated_identity_credential" "operator" {
  name                      = var.name
  user_assigned_identity_id = azurerm_user_assigned_identity.operator.id
  issuer                    = var.issuer
  subject                   = "system:serviceaccount:${var.operator_namespace}:${var.service_account_name}"
  audience                  = [var.audience]
}

resource "azurerm_role_definition" "operator" {
  for_each = local.roles

  name              = each.value.Name
  description       = each.value.Description
  scope             = local.assignable_scopes[0]
  assignable_scopes = local.assignable_scopes

  permissions {
    actions          = each.value.Actions
    not_actions      = each.value.NotActions
    data_actions     = each.value.DataActions
    not_data_actions = each.value.NotDataActions
  }
}

resource "azurerm_role_assignment" "signalr" {
  for_each = var.signalr_scopes

  scope              = each.value
  role_definition_id = azurerm_role_definition.operator["link_manager"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.operator.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "vault" {
  for_each = var.vault_scopes

  scope              = each.value
  role_definition_id = azurerm_role_definition.operator["connection_approver"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.operator.principal_id
  principal_type     = "ServicePrincipal"
}
