"""Speed of the service: the suite of `python -m benchmarks run`, and separate experiments."""
