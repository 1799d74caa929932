{{- define "operator.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "_" | trimSuffix "." }}
{{- end -}}

{{/* The webhook of workload identity injects a token; a secret or a managed identity wants none. */}}
{{- define "operator.usesWorkloadIdentity" -}}
{{- $azure := .Values.azure -}}
{{- if and $azure.clientId (or (eq $azure.credential "WorkloadIdentity") (and (eq $azure.credential "auto") (not $azure.clientSecretName))) -}}
true
{{- end -}}
{{- end -}}
