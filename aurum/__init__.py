"""Aurum Face Serving: face detection and embedding on NVIDIA Triton.

The packages follow a photo's way and import downwards only:

- ``settings``  every ``AURUM_`` environment variable, in one place;
- ``imaging``   encoded photo -> pixels -> letterbox -> faces -> aligned crops (pure functions);
- ``pipeline``  what the Python backends do with ``imaging`` inside Triton;
- ``models``    the manifest, pulling weights, building the served ONNX graphs;
- ``server``    starting, watching and stopping tritonserver;
- ``gateway``      nginx before a public server, and its API keys (beside the others);
- ``playground`` a page to try the service on, served by ``aurum up``;
- ``cli``       the ``aurum`` command.
"""

import os

# Or onnxruntime's wheel keeps a device id in the home folder and reports to its makers. Set here,
# as this runs before any of our modules imports it, and all processes that we start inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.2.0"
