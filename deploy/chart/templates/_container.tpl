{{/* The agent's container. */}}
{{- define "waggle.container" -}}
name: waggle
image: {{ include "waggle.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
args:
  {{- include "waggle.args" . | nindent 2 }}
# Until it serves it is not ready, and an update stops at the first nodes. The hour is for a late API server.
startupProbe:
  exec:
    command:
      {{- include "waggle.ready" . | nindent 6 }}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 3600
env:
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
envFrom:
  - configMapRef:
      name: waggle-api-server
      optional: true
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "waggle.securityContext" . | nindent 2 }}
volumeMounts:
  - name: bpf
    mountPath: /sys/fs/bpf
  - name: cgroup
    mountPath: /host/cgroup
    readOnly: true
  - name: net-settings
    mountPath: /host/proc/sys/net
  {{- if .Values.kubeProxyConfigMap }}
  - name: kube-proxy
    mountPath: /var/lib/kube-proxy
    readOnly: true
  {{- end }}
{{- end }}
