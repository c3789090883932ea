{{- define "countersign.name" -}}
{{- if contains "countersign" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-countersign{{ end }}
{{- end }}

{{- define "countersign.selector" -}}
app.kubernetes.io/name: countersign
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "countersign.labels" -}}
{{ include "countersign.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* Dotted keys only, so that whatever `config` begins with can follow. */ -}}
{{- define "countersign.toml" -}}
{{- $name := printf "%s-control" (include "countersign.name" .) -}}
{{- $service := printf "%s.%s" $name .Release.Namespace -}}
drain_delay_seconds = {{ .Values.drain.delaySeconds | int }}
drain_timeout_seconds = {{ .Values.drain.timeoutSeconds | int }}
{{- with .Values.proxyProtocol.from }}
proxy_protocol.from = {{ toJson . }}
{{- end }}
{{- if .Values.control.tlsSecret }}
control_addr = "0.0.0.0:4566"
control.certificate = "/etc/countersign/control/tls.crt"
control.key = "/etc/countersign/control/tls.key"
control.names = {{ concat (list $name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service)) .Values.control.names | toJson }}
{{- end }}
{{- if .Values.sealingKeySecret }}
sealing_key.file = "/etc/countersign/sealing/sealing.key"
{{- end }}
{{- if .Values.etcd.endpoints }}
store.kind = "etcd"
store.endpoints = {{ toJson .Values.etcd.endpoints }}
store.prefix = {{ .Values.etcd.prefix | quote }}
{{- if .Values.etcd.secret }}
store.ca = "/etc/countersign/etcd/ca.crt"
{{- end }}
{{- if .Values.etcd.clientCertificate }}
store.certificate = "/etc/countersign/etcd/tls.crt"
store.key = "/etc/countersign/etcd/tls.key"
{{- end }}
{{- with .Values.etcd.user }}
store.user = {{ quote . }}
store.password_file = "/etc/countersign/etcd/password"
{{- end }}
{{- end }}
{{- with .Values.config }}
{{ . | trim }}
{{- end }}
{{- end }}
