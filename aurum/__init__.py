"""Aurum Face Serving: face detection and embedding on NVIDIA Triton.

The packages follow a photo's way and import downwards only:

- ``settings``  every ``AURUM_`` environment variable, in one place;
- ``imaging``   encoded photo -> pixels -> letterbox -> faces -> aligned crops (pure functions);
- ``pipeline``  what the Python backends do with ``imaging`` inside Triton;
- ``models``    the manifest, pulling weights, building the served ONNX graphs;
- ``server``    starting, watching and stopping tritonserver;
- ``edge``      nginx before a public server, and its API keys (beside the others);
- ``cli``       the ``aurum`` command.
"""

__version__ = "0.1.0"
