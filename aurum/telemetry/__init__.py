"""Telemetry of requests: metrics, the request log and heartbeats."""
