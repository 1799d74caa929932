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
{{ include "operator.releaseLabels" . }}
{{- end -}}

{{- define "operator.doctorName" -}}
{{- include "operator.name" . | trunc 56 | trimSuffix "-" }}-doctor
{{- end -}}

{{/* Those of what is no replica: neither Service nor disruption budget may take it for one. */}}
{{- define "operator.releaseLabels" -}}
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

{{/* Whether the chart itself mounts the token that is exchanged for one of Entra's. */}}
{{- define "operator.projectsToken" -}}
{{- if and (eq (include "operator.credential" .) "WorkloadIdentity") .Values.azure.workloadIdentity.projectToken -}}
true
{{- end -}}
{{- end -}}

{{/* Labels and annotations that a pod needs to be let in and to get its identity. */}}
{{- define "operator.podLabels" -}}
{{- if and (eq (include "operator.credential" .) "WorkloadIdentity") (not (include "operator.projectsToken" .)) }}
azure.workload.identity/use: "true"
{{- end }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What a pod is like that runs the operator's image, before its containers. */}}
{{- define "operator.podStart" -}}
serviceAccountName: {{ include "operator.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
enableServiceLinks: {{ .Values.enableServiceLinks }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The same, after its containers. */}}
{{- define "operator.podEnd" -}}
{{- with include "operator.volumes" . | trim }}
volumes: {{- . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The operator's settings, for every subcommand. */}}
{{- define "operator.env" -}}
{{- $azure := .Values.azure }}
{{- $settings := dict "AZURE_CLOUD" $azure.cloud "AZURE_CREDENTIAL" (include "operator.credential" .) "AZURE_ARM_ENDPOINT" $azure.armEndpoint "AZURE_ARM_AUDIENCE" $azure.armAudience "AZURE_AUTHORITY_HOST" $azure.authorityHost "AZURE_TENANT_ID" $azure.tenantId "AZURE_CLIENT_ID" $azure.clientId "SIGNALR_API_VERSION" $azure.signalrApiVersion "KEY_VAULT_API_VERSION" $azure.keyVaultApiVersion "WATCH_NAMESPACES" (join "," .Values.watchNamespaces) "LEASE_DURATION" .Values.leaderElection.leaseDuration "LEASE_RENEW_DEADLINE" .Values.leaderElection.renewDeadline "LEASE_RETRY_PERIOD" .Values.leaderElection.retryPeriod "LOG_FORMAT" .Values.log.format "LOG_LEVEL" .Values.log.level "HTTP_PROXY" .Values.http_proxy "HTTPS_PROXY" .Values.https_proxy "NO_PROXY" .Values.no_proxy }}
{{- if include "operator.projectsToken" . }}
{{- $_ := set $settings "AZURE_FEDERATED_TOKEN_FILE" "/var/run/secrets/azure/tokens/azure-identity-token" }}
{{- end }}
{{- if $azure.existingSecret }}
{{- $variable := ternary "AZURE_CLIENT_CERTIFICATE_PATH" "AZURE_CLIENT_SECRET_FILE" (eq (include "operator.credential" .) "ClientCertificate") }}
{{- $_ := set $settings $variable "/var/run/secrets/azure/client/secret" }}
{{- end }}
{{- if or $azure.caBundle.configMapName $azure.caBundle.secretName }}
{{- $_ := set $settings "AZURE_CA_FILE" "/etc/azure-ca/ca.crt" }}
{{- end }}
{{- if .Values.tracing.endpoint }}
{{- /* As text: 0 is a ratio too. */}}
{{- $_ := set (set $settings "OTEL_EXPORTER_OTLP_ENDPOINT" .Values.tracing.endpoint) "OTEL_TRACES_SAMPLER_ARG" (toString .Values.tracing.ratio) }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if $value }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every container of the operator's image may use. */}}
{{- define "operator.containerEnd" -}}
{{- with .Values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "operator.volumeMounts" . | trim }}
volumeMounts: {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "operator.volumeMounts" -}}
{{- if include "operator.projectsToken" . }}
- {name: azure-token, mountPath: /var/run/secrets/azure/tokens, readOnly: true}
{{- end }}
{{- if .Values.azure.existingSecret }}
- {name: azure-client-secret, mountPath: /var/run/secrets/azure/client, readOnly: true}
{{- end }}
{{- if or .Values.azure.caBundle.configMapName .Values.azure.caBundle.secretName }}
- {name: azure-ca, mountPath: /etc/azure-ca, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "operator.volumes" -}}
{{- $azure := .Values.azure }}
{{- if include "operator.projectsToken" . }}
- name: azure-token
  projected:
    sources:
      - serviceAccountToken:
          path: azure-identity-token
          audience: {{ $azure.workloadIdentity.audience }}
          expirationSeconds: {{ $azure.workloadIdentity.expirationSeconds }}
{{- end }}
{{- with $azure.existingSecret }}
- name: azure-client-secret
  secret:
    secretName: {{ . }}
    items: [{key: {{ ternary $azure.secretKeys.clientCertificate $azure.secretKeys.clientSecret (eq (include "operator.credential" $) "ClientCertificate") }}, path: secret}]
{{- end }}
{{- with $azure.caBundle.configMapName }}
- name: azure-ca
  configMap:
    name: {{ . }}
    items: [{key: {{ $azure.caBundle.key }}, path: ca.crt}]
{{- end }}
{{- with $azure.caBundle.secretName }}
- name: azure-ca
  secret:
    secretName: {{ . }}
    items: [{key: {{ $azure.caBundle.key }}, path: ca.crt}]
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
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
{{- if and (has $credential (list "WorkloadIdentity" "ClientSecret" "ClientCertificate")) (not (and $azure.tenantId $azure.clientId)) -}}
{{- fail (printf "azure.credential %s (now %s) needs azure.tenantId and azure.clientId" $azure.credential $credential) -}}
{{- end -}}
{{- $provesBySecret := has $credential (list "ClientSecret" "ClientCertificate") -}}
{{- if and $provesBySecret (not $azure.existingSecret) -}}
{{- fail (printf "azure.credential %s needs azure.existingSecret: the name of a Secret that holds the client secret or certificate" $credential) -}}
{{- end -}}
{{- if and (not $provesBySecret) $azure.existingSecret -}}
{{- fail (printf "azure.existingSecret goes with azure.credential ClientSecret, ClientCertificate or auto, not with %s" $credential) -}}
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
{{- $lease := .Values.leaderElection -}}
{{- if not (and (gt (int $lease.leaseDuration) (int $lease.renewDeadline)) (gt (int $lease.renewDeadline) (int $lease.retryPeriod))) -}}
{{- fail (printf "leaderElection: leaseDuration (%v) has to be longer than renewDeadline (%v), and that longer than retryPeriod (%v)" $lease.leaseDuration $lease.renewDeadline $lease.retryPeriod) -}}
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
