"""Load on a running service by NVIDIA's perf_analyzer and by Locust, and the reading of both."""
