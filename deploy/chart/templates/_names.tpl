{{/* The name of the instance's objects. */}}
{{- define "waggle.name" -}}
waggle{{ if ne .Values.instance "default" }}-{{ .Values.instance }}{{ end }}
{{- end }}

{{/* The labels that select the instance's pods. They don't depend on the release's name, so that any release can take over what
kubectl has installed: a DaemonSet's selector can't change. */}}
{{- define "waggle.selector" -}}
app.kubernetes.io/name: waggle
app.kubernetes.io/instance: {{ include "waggle.name" . }}
{{- end }}

{{/* The labels of every object. Pods have only the selector's, so that another version of the chart alone replaces no agent. */}}
{{- define "waggle.labels" -}}
{{ include "waggle.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
