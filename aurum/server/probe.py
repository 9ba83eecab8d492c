"""Liveness probe of the step: repeated real inferences.

They use only the standard library, because NVIDIA's image does not have our client. Only whether
there is an answer counts: an error is a sign of life, too.
"""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import suppress

from aurum import contract
from aurum.paths import PHOTO
from aurum.settings import Settings

PERIOD = 2.0  # seconds between an answer and the next request
# Seconds that a connection waits for an answer; the watchdog decides long before that.
TIMEOUT = 300.0
# A small input: some 10 ms of computing, so as not to compete with the users' photos.
DETECTION_SIZE = 160


class Probe:
    """Probes the step in a thread of its own, until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self.answers = 0
        self._place = (settings.host, settings.http_port)
        self._path = f"/v2/models/{contract.ANALYZE_FACES}/infer"
        self._body, self._header_length = _request()
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="probe", daemon=True).start()

    def close(self) -> None:
        """Stop probing."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._ask()
            self._closing.wait(PERIOD)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._place, timeout=TIMEOUT)
        try:
            headers = {"Inference-Header-Content-Length": str(self._header_length)}
            connection.request("POST", self._path, self._body, headers)
            connection.getresponse().read()
            self.answers += 1
        finally:
            connection.close()


def _request() -> tuple[bytes, int]:
    """Return the body, in Triton's binary tensor format, and the length of its JSON header."""
    photo = PHOTO.read_bytes()
    tensor = len(photo).to_bytes(4, "little") + photo
    header = json.dumps(
        {
            "parameters": {"detection_size": DETECTION_SIZE},
            "inputs": [
                {
                    "name": "image",
                    "shape": [1],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(tensor)},
                }
            ],
        }
    ).encode()
    return header + tensor, len(header)
