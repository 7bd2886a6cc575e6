"""Hooks that tell logs, Prometheus and OpenTelemetry what happens to turns."""
