"""The step that runs in Triton's Python backend; ``python_backends`` only imports it."""
