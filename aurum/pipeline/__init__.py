"""The steps that run in Triton's Python backend; ``python_backends`` only imports them."""
