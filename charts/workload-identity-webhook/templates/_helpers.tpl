{{- define "webhook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* A Deployment's selector is immutable: these are the labels that a release of azure-workload-identity has. */ -}}
{{- define "webhook.labels" -}}
app: {{ include "webhook.name" . }}
azure-workload-identity.io/system: "true"
chart: {{ include "webhook.name" . }}
release: {{ quote .Release.Name }}
{{- end }}

{{- define "webhook.release" -}}
{{- .Values.image.release | default .Chart.AppVersion }}
{{- end }}

{{- define "webhook.hasMountedCertificate" -}}
{{- if or .Values.disableCertRotation .Values.certManager.enabled }}yes{{ end }}
{{- end }}

{{- define "webhook.namespaceSelector" -}}
{{- $selector := deepCopy .Values.mutatingWebhookNamespaceSelector }}
{{- with .Values.excludedNamespaces }}
{{- $excluded := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" . }}
{{- $_ := set $selector "matchExpressions" (append ($selector.matchExpressions | default list) $excluded) }}
{{- end }}
{{- toYaml $selector }}
{{- end }}

{{- define "webhook.topologySpreadConstraints" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "webhook.labels" . | fromYaml)) }}
{{- range .Values.topologySpreadConstraints }}
- {{ merge (deepCopy .) $own | toYaml | indent 2 | trim }}
{{- end }}
{{- end }}
