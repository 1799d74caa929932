// The identity of the operator: a user-assigned identity that trusts the operator's service account, two custom roles, and their assignments.
// Deployed to the resource group of the identity. README.md beside this directory tells how.
targetScope = 'resourceGroup'

@description('The name of the identity and of its federated credential.')
param name string = 'signalr-private-link-operator'

@description('Where the identity lives.')
param location string = resourceGroup().location

@description('The OIDC issuer of the cluster.')
param issuer string

@description('The namespace of the operator.')
param operatorNamespace string = 'signalr-private-link-operator'

@description('The service account of the operator.')
param serviceAccountName string = 'signalr-private-link-operator'

@description('Whom the tokens of the service account are for, as azure.workloadIdentity.audience of the chart.')
param audience string = 'api://AzureADTokenExchange'

@description('Ids of SignalRs, or of resource groups with SignalRs, on which links are made.')
param signalRScopes array

@description('The same for key vaults, whose connections the operator may read and decide on. Where none is given, approval stays with people.')
param vaultScopes array = []

@description('Subscriptions in which the roles can be assigned.')
param assignableScopes array = [
  subscription().id
]

// The files that `az role definition create` takes too.
var linkManager = loadJsonContent('../roles/link-manager.json')
var connectionApprover = loadJsonContent('../roles/connection-approver.json')

var linkManagerName = guid(subscription().id, linkManager.Name)
var connectionApproverName = guid(subscription().id, connectionApprover.Name)

// The id of a resource group has 5 parts, that of a SignalR or a vault 9; the first one is empty.
var assignments = concat(
  map(signalRScopes, id => { target: toLower(id), path: split(id, '/'), role: linkManagerName }),
  map(vaultScopes, id => { target: toLower(id), path: split(id, '/'), role: connectionApproverName })
)
var onGroups = filter(assignments, assignment => length(assignment.path) == 5)
var onResources = filter(assignments, assignment => length(assignment.path) == 9)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource federatedCredential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = {
  parent: identity
  name: name
  properties: {
    issuer: issuer
    subject: 'system:serviceaccount:${operatorNamespace}:${serviceAccountName}'
    audiences: [
      audience
    ]
  }
}

resource linkManagerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: linkManagerName
  properties: {
    roleName: linkManager.Name
    description: linkManager.Description
    type: 'CustomRole'
    permissions: [
      {
        actions: linkManager.Actions
        notActions: linkManager.NotActions
        dataActions: linkManager.DataActions
        notDataActions: linkManager.NotDataActions
      }
    ]
    assignableScopes: assignableScopes
  }
}

resource connectionApproverRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!empty(vaultScopes)) {
  name: connectionApproverName
  properties: {
    roleName: connectionApprover.Name
    description: connectionApprover.Description
    type: 'CustomRole'
    permissions: [
      {
        actions: connectionApprover.Actions
        notActions: connectionApprover.NotActions
        dataActions: connectionApprover.DataActions
        notDataActions: connectionApprover.NotDataActions
      }
    ]
    assignableScopes: assignableScopes
  }
}

// A scope is in a resource group of its own, perhaps in another subscription. Bicep deploys there from a module, which is a second file, or
// from a nested deployment; these are such, with nothing in them but one assignment each.
#disable-next-line no-deployments-resources
resource groupAssignments 'Microsoft.Resources/deployments@2022-09-01' = [for assignment in onGroups: {
  name: 'spl-${uniqueString(assignment.target, assignment.role)}'
  subscriptionId: assignment.path[2]
  resourceGroup: assignment.path[4]
  dependsOn: [
    linkManagerRole
    connectionApproverRole
  ]
  properties: {
    mode: 'Incremental'
    template: {
      '$schema': 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#'
      contentVersion: '1.0.0.0'
      resources: [
        {
          type: 'Microsoft.Authorization/roleAssignments'
          apiVersion: '2022-04-01'
          name: guid(assignment.target, identity.id, assignment.role)
          properties: {
            roleDefinitionId: '/subscriptions/${assignment.path[2]}/providers/Microsoft.Authorization/roleDefinitions/${assignment.role}'
            principalId: identity.properties.principalId
            principalType: 'ServicePrincipal'
          }
        }
      ]
    }
  }
}]

#disable-next-line no-deployments-resources
resource resourceAssignments 'Microsoft.Resources/deployments@2022-09-01' = [for assignment in onResources: {
  name: 'spl-${uniqueString(assignment.target, assignment.role)}'
  subscriptionId: assignment.path[2]
  resourceGroup: assignment.path[4]
  dependsOn: [
    linkManagerRole
    connectionApproverRole
  ]
  properties: {
    mode: 'Incremental'
    template: {
      '$schema': 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#'
      contentVersion: '1.0.0.0'
      resources: [
        {
          type: 'Microsoft.Authorization/roleAssignments'
          apiVersion: '2022-04-01'
          name: guid(assignment.target, identity.id, assignment.role)
          scope: '${assignment.path[6]}/${assignment.path[7]}/${assignment.path[8]}'
          properties: {
            roleDefinitionId: '/subscriptions/${assignment.path[2]}/providers/Microsoft.Authorization/roleDefinitions/${assignment.role}'
            principalId: identity.properties.principalId
            principalType: 'ServicePrincipal'
          }
        }
      ]
    }
  }
}]

@description('For the value azure.clientId of the chart.')
output clientId string = identity.properties.clientId

@description('For the value azure.tenantId of the chart.')
output tenantId string = identity.properties.tenantId

@description('For role assignments elsewhere.')
output principalId string = identity.properties.principalId
