"""Hooks that report what happens to turns to logs, Prometheus and OpenTelemetry."""
