{{- define "turnwise.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods of one part: dict "part" NAME "root" $. */}}
{{- define "turnwise.selector" -}}
app.kubernetes.io/name: turnwise
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "turnwise.labels" -}}
{{ include "turnwise.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* A pod of one part: "variables" and "resources" are its own; at "port", which is "number", it answers probes. */}}
{{- define "turnwise.pod" -}}
{{- $fixed := dict "TURNWISE_AGENTS" .root.Values.agents "TURNWISE_GRACE" (toString .root.Values.shutdown.grace) }}
{{- $defaults := dict "TURNWISE_LOG_FORMAT" "json" }}
metadata:
  labels:
    {{- include "turnwise.labels" . | nindent 4 }}
spec:
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  # A Service named turnwise-port would otherwise set TURNWISE_PORT.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .root.Values.shutdown.pause .root.Values.shutdown.grace 25 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "turnwise.selector" . | nindent 10 }}
  volumes:
    - name: tmp
      emptyDir: {}
  containers:
    - name: {{ .part }}
      image: {{ printf "%s:%s" .root.Values.image.repository .root.Values.image.tag | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
      lifecycle:
        # Until every proxy knows that the pod is out of the Service.
        preStop:
          sleep:
            seconds: {{ .root.Values.shutdown.pause }}
      startupProbe:
        httpGet:
          path: /healthz
          port: {{ .port }}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet:
          path: /healthz
          port: {{ .port }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /readyz
          port: {{ .port }}
        periodSeconds: 5
        timeoutSeconds: 2
        failureThreshold: 1
      args: [{{ .part }}]
      ports:
        - name: {{ .port }}
          containerPort: {{ .number }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      {{- with .root.Values.secrets }}
      envFrom:
        {{- range . }}
        - secretRef:
            name: {{ . }}
        {{- end }}
      {{- end }}
      env:
        - name: TURNWISE_URL
          valueFrom:
            secretKeyRef:
              name: {{ .root.Values.store.secret }}
              key: {{ .root.Values.store.key }}
        {{- range $name, $value := merge .variables $fixed .root.Values.environment $defaults }}
        - name: {{ $name }}
          value: {{ $value | quote }}
        {{- end }}
{{- end }}
