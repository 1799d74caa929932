variable "name" {
  description = "The name of the identity and of its federated credential."
  type        = string
  default     = "signalr-private-link-operator"
}

variable "resource_group_name" {
  description = "The resource group of the identity; it exists."
  type        = string
}

variable "location" {
  description = "Where the identity lives."
  type        = string
}

variable "issuer" {
  description = "The OIDC issuer of the cluster."
  type        = string
}

variable "operator_namespace" {
  description = "The namespace of the operator."
  type        = string
  default     = "signalr-private-link-operator"
}

variable "service_account_name" {
  description = "The service account of the operator."
  type        = string
  default     = "signalr-private-link-operator"
}

variable "audience" {
  description = "Whom the tokens of the service account are for, as azure.workloadIdentity.audience of the chart."
  type        = string
  default     = "api://AzureADTokenExchange"
}

variable "signalr_scopes" {
  description = "Ids of SignalRs, or of resource groups or subscriptions with SignalRs, on which links are made."
  type        = set(string)
}

variable "vault_scopes" {
  description = "The same for key vaults, whose connections the operator may read and decide on. Where none is given, approval stays with people."
  type        = set(string)
  default     = []
}

variable "assignable_scopes" {
  description = "Subscriptions in which the roles can be assigned; the current one, if empty."
  type        = list(string)
  default     = []
}
