{{/* The image, by its digest or else by its tag. */}}
{{- define "waggle.image" -}}
{{- $image := .Values.image }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The API server's URL. An IPv6 address needs brackets. */}}
{{- define "waggle.apiServer" -}}
{{ with .Values.apiServer }}https://{{ if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ .port }}{{ end }}
{{- end }}

{{/* The agent's arguments. */}}
{{- define "waggle.args" -}}
- run
- --cgroup
- /host/cgroup
- --proc-sys
- /host/proc/sys
{{- if ne .Values.instance "default" }}
- --instance={{ .Values.instance }}
{{- end }}
{{- if .Values.kubeProxyConfigMap }}
- --config=/var/lib/kube-proxy/config.conf
{{- end }}
{{- if .Values.apiServer.host }}
- --api-server={{ include "waggle.apiServer" . }}
{{- end }}
{{- if not .Values.udpTermination }}
- --udp-termination=false
{{- end }}
{{- if .Values.monitoring.openPort }}
- --metrics-bind-address=[::]:10249
{{- end }}
{{- if .Values.page.enabled }}
- --page
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The startup probe's command. */}}
{{- define "waggle.ready" -}}
- waggle
- ready
{{- if ne .Values.instance "default" }}
- --instance={{ .Values.instance }}
{{- end }}
{{- end }}

{{/* What the agent may do: docs/security.md has the reasons. */}}
{{- define "waggle.securityContext" -}}
privileged: false
readOnlyRootFilesystem: true
runAsUser: 0
capabilities:
  drop: [ALL]
  add: [BPF, NET_ADMIN, PERFMON{{ if .Values.udpTermination }}, SYS_ADMIN, SYS_PTRACE{{ end }}]
seccompProfile:
  type: RuntimeDefault
appArmorProfile:
  type: Unconfined
seLinuxOptions:
  level: s0
  type: spc_t
{{- end }}
