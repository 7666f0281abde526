{{/* The name of the objects, and of the label that selects the pods. */}}
{{- define "waggle.name" -}}
waggle{{ if ne .Values.instance "default" }}-{{ .Values.instance }}{{ end }}
{{- end }}

{{/* The label that selects the pods. */}}
{{- define "waggle.selector" -}}
app.kubernetes.io/name: {{ include "waggle.name" . }}
{{- end }}

{{/* The labels of every object. Pods have only the selector's, so that another version of the chart alone replaces no agent. */}}
{{- define "waggle.labels" -}}
{{ include "waggle.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
