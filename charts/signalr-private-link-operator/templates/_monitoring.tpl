{{/* The Service of the metrics; it gives its name to the job. */}}
{{- define "operator.metricsName" -}}
{{- include "operator.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
{{- end -}}

{{/* The label `job` of what is scraped. */}}
{{- define "operator.metricsJob" -}}
{{- $metrics := .Values.metrics -}}
{{- if $metrics.prometheusRule.job -}}
{{- $metrics.prometheusRule.job -}}
{{- else if and $metrics.podMonitor.enabled (not $metrics.serviceMonitor.enabled) -}}
{{- printf "%s/%s" (include "operator.namespace" .) (include "operator.fullname" .) -}}
{{- else -}}
{{- include "operator.metricsName" . -}}
{{- end -}}
{{- end -}}

{{/* What a ServiceMonitor and a PodMonitor say of how to scrape. */}}
{{- define "operator.scrape" -}}
port: metrics
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
