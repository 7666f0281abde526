{{/* The image, by its digest or else by its tag. */}}
{{- define "waggle.image" -}}
{{- $image := .Values.image }}
{{- if not $image.repository }}
{{- fail "image.repository is not set, and no image of Waggle is published: build one and push it to your registry (docs/install.md), then name it by --set image.repository=REGISTRY/waggle" }}
{{- end }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The API server's URL. An IPv6 address needs brackets. */}}
{{- define "waggle.apiServer" -}}
{{ with .Values.apiServer }}https://{{ if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ .port }}{{ end }}
{{- end }}

{{/* The flag that names the instance to a command of waggle; empty for the one that they take by default. */}}
{{- define "waggle.instanceFlag" -}}
{{ if ne .Values.instance "default" }}--instance={{ .Values.instance }}{{ end }}
{{- end }}

{{/* Refuses further arguments that other fields would have to follow. */}}
{{- define "waggle.checkExtraArgs" -}}
{{- $values := dict "--cgroup" "cgroup" "--instance" "instance" "--udp-termination" "udpTermination" }}
{{- range .Values.extraArgs }}
{{- $flag := first (splitList "=" .) }}
{{- with get $values $flag }}
{{- fail (printf "extraArgs has %s, which other fields would not follow: set the value %s instead" $flag .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The agent's arguments. */}}
{{- define "waggle.args" -}}
{{- include "waggle.checkExtraArgs" . -}}
- run
- --cgroup
- /host/cgroup
- --proc-sys
- /host/proc/sys
{{- with include "waggle.instanceFlag" . }}
- {{ . }}
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
{{- with include "waggle.instanceFlag" . }}
- {{ . }}
{{- end }}
{{- end }}

{{/* What the agent may do: docs/security.md has the reasons. */}}
{{- define "waggle.securityContext" -}}
privileged: false
{{- if not .Values.udpTermination }}
# With CAP_SYS_ADMIN, Kubernetes takes it for true.
allowPrivilegeEscalation: false
{{- end }}
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
