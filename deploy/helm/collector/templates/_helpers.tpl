{{/* What the names of all objects begin with: the release's, with "collector" in it; short enough for
     what is put behind, as StatefulSets and Services have it. */}}
{{- define "collector.fullname" -}}
{{- $name := .Release.Name }}
{{- if not (contains "collector" $name) }}{{ $name = printf "%s-collector" $name }}{{ end }}
{{- .Values.fullnameOverride | default $name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What stands behind the names of a role's objects: nothing, -receiver or -deliverer. */}}
{{- define "collector.suffix" -}}
{{- if eq . "receive" }}-receiver{{ else if eq . "deliver" }}-deliverer{{ end }}
{{- end }}

{{/* These must never change: a StatefulSet keeps those that it was made with. */}}
{{- define "collector.selectorLabels" -}}
app.kubernetes.io/name: collector
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- if ne .role "all" }}
collector-role: {{ .role }}
{{- end }}
{{- end }}

{{- define "collector.labels" -}}
{{ include "collector.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{/* The listeners that have a port, as a pod has ports: none for deliverers, which listen to nobody. */}}
{{- define "collector.listeners" -}}
{{- range .root.Values.settings.listeners }}
{{- if and .port (ne $.role "deliver") }}
- {name: {{ .name | quote }}, protocol: {{ eq .transport "udp" | ternary "UDP" "TCP" }}, containerPort: {{ int .port }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "collector.environment" -}}
{{- $found := dict }}
{{- range $name, $value := .root.Values.environment }}{{ $_ := set $found $name $value }}{{ end }}
{{- range $name, $value := .pods.environment }}{{ $_ := set $found $name $value }}{{ end }}
{{- if ne .role "all" }}{{ $_ := set $found "COLLECTOR_ROLE" .role }}{{ end }}
{{- toYaml $found }}
{{- end }}
