"""Aurum Face Serving: face detection and embedding on NVIDIA Triton.

The packages, from top to bottom; each imports only from the layers below its own
(docs/design/architecture.md):

- ``cli``         the ``aurum`` command: arguments, output, exit codes;
- ``rollout``     stage, validate, promote and roll back model releases;
- ``playground``  a web page to try the service, served by ``aurum up``;
- ``doctor``      checks of the machine, the configuration and the ports;
- ``evaluation``  accuracy of a running service: verification, detection, calibration, gate;
- ``server``      start, watch, drain and stop tritonserver; its served copy; throwaway servers;
- ``gateway``     nginx in front of the service: its configuration, certificate and API keys;
- ``models``      manifest, downloads, building the served ONNX graphs, parity check;
- ``pipeline``    what the Python backends do inside Triton;
- ``releases``    the state of the releases, and which one is active;
- ``quality``     quality parts, head pose, fitted weights, the gate;
- ``telemetry``   request records, metrics, logs, heartbeat;
- ``imaging``     pure functions of arrays: decode, letterbox, select, align.

The modules beside them are the ground floor: ``contract``, settings, paths, files, errors, kernels,
``drain`` and ``batch``. They import no package.
"""

import os

# Without this, the onnxruntime wheel keeps a device id in the home folder and reports to its
# vendor. It is set here because this runs before any of our modules imports onnxruntime, and
# because all processes that we start inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.2.0"
