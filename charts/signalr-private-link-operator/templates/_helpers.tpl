{{- define "operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.fullname" -}}
{{- $name := include "operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* What is cluster-scoped belongs to one release, so its namespace is part of the name. No namespace contains a colon. */}}
{{- define "operator.clusterName" -}}
{{- printf "%s:%s" (include "operator.namespace" .) (include "operator.fullname" .) -}}
{{- end -}}

{{- define "operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "operator.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "operator.leaseName" -}}
{{- .Values.leaderElection.leaseName | default (include "operator.fullname" .) -}}
{{- end -}}

{{- define "operator.image" -}}
{{- $image := .Values.image -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "_" | trimSuffix "." }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What auto means here; the operator itself decides alike, by what is mounted and set. */}}
{{- define "operator.credential" -}}
{{- $azure := .Values.azure -}}
{{- if ne $azure.credential "auto" -}}
{{- $azure.credential -}}
{{- else if $azure.existingSecret -}}
ClientSecret
{{- else if $azure.clientId -}}
WorkloadIdentity
{{- else -}}
ManagedIdentity
{{- end -}}
{{- end -}}

{{/* The rules for the objects of a namespace, all of them or one. */}}
{{- define "operator.objectRules" -}}
- apiGroups: [privatelink.signalr-operator.io]
  resources: [signalrsharedprivatelinks]
  verbs: [get, list, watch, patch] # patch: the finalizer
- apiGroups: [privatelink.signalr-operator.io]
  resources: [signalrsharedprivatelinks/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Settings that cannot work, and that a schema cannot see, are refused in words. */}}
{{- define "operator.check" -}}
{{- $azure := .Values.azure -}}
{{- $credential := include "operator.credential" . -}}
{{- if and (has $credential (list "WorkloadIdentity" "ClientSecret")) (not (and $azure.tenantId $azure.clientId)) -}}
{{- fail (printf "azure.credential %s (now %s) needs azure.tenantId and azure.clientId" $azure.credential $credential) -}}
{{- end -}}
{{- if and (eq $credential "ClientSecret") (not $azure.existingSecret) -}}
{{- fail "azure.credential ClientSecret needs azure.existingSecret: the name of a Secret that holds the client secret" -}}
{{- end -}}
{{- if and (ne $credential "ClientSecret") $azure.existingSecret -}}
{{- fail (printf "azure.existingSecret goes with azure.credential ClientSecret or auto, not with %s" $credential) -}}
{{- end -}}
{{- if and $azure.caBundle.configMapName $azure.caBundle.secretName -}}
{{- fail "azure.caBundle: give configMapName or secretName, not both" -}}
{{- end -}}
{{- $custom := or $azure.armEndpoint $azure.armAudience -}}
{{- if and $custom (ne $azure.cloud "Custom") -}}
{{- fail (printf "azure.armEndpoint and azure.armAudience go with azure.cloud Custom, not with %s" $azure.cloud) -}}
{{- end -}}
{{- if and (eq $azure.cloud "Custom") (not (and $azure.armEndpoint $azure.armAudience $azure.authorityHost)) -}}
{{- fail "azure.cloud Custom needs azure.armEndpoint, azure.armAudience and azure.authorityHost" -}}
{{- end -}}
{{- $pdb := .Values.podDisruptionBudget -}}
{{- if and $pdb.enabled (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "invalid" $pdb.maxUnavailable)) -}}
{{- fail "podDisruptionBudget: give minAvailable or maxUnavailable, and set the other one to null" -}}
{{- end -}}
{{- /* What the chart gives as a flag may not be given twice: the operator would not start. */ -}}
{{- $flags := dict "--leader-elect" "replicaCount" "--lease-name" "leaderElection.leaseName" "--metrics-address" "metrics.enabled and metrics.port" -}}
{{- range $arg := .Values.extraArgs -}}
{{- $flag := first (splitList "=" $arg) -}}
{{- if hasKey $flags $flag -}}
{{- fail (printf "extraArgs: the chart itself gives %s; use %s" $flag (get $flags $flag)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
