{{/* Name of the operator's objects: of the release, so that two releases with different watchNamespaces can live together. */}}
{{- define "perigee.name" -}}
{{- if contains "perigee" .Release.Name -}}
{{- printf "%s-operator" (.Release.Name | trunc 54 | trimSuffix "-") -}}
{{- else -}}
{{- printf "%s-perigee-operator" (.Release.Name | trunc 46 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "perigee.selectorLabels" -}}
app.kubernetes.io/name: perigee-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "perigee.labels" -}}
{{ include "perigee.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: perigee
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "perigee.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* All that the operator may do, in one namespace or in all. */}}
{{- define "perigee.rules" -}}
- apiGroups: [perigee.dev]
  resources: [actorapps]
  verbs: [get, list, watch]
- apiGroups: [perigee.dev]
  resources: [actorapps/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
