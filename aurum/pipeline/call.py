"""One request to the step and its response. Only importable inside Triton."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import triton_python_backend_utils as pb_utils

from aurum.pipeline.request import RequestError
from aurum.telemetry.traces import TRACES

# Headers that the gateway sets and Triton passes on as parameters (runtime.FORWARDED): the Unix
# time at which the sender stops waiting, and the name of its API key.
DEADLINE = "x-aurum-deadline"
KEY = "x-aurum-key"
_RECENT = 0.05  # seconds


class CancelledError(Exception):
    """The sender no longer waits for the answer."""


class Call:
    """A request, copied out of the memory shared with Triton, and its response sender."""

    def __init__(self, request: Any) -> None:
        value = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        self.image = bytes(value.reshape(-1)[0])  # the encoded photo
        self.requested: list[str] = list(request.requested_output_names())
        self._sender = request.get_response_sender()
        # Text that isn't UTF-8 is reported later, when the parameters are read.
        self._id = ""
        with suppress(UnicodeDecodeError):
            self._id = str(request.request_id())
        # The W3C trace context of Triton's span of the step; empty where it isn't traced.
        self.trace_context = request.trace().get_context() or "" if TRACES.on else ""
        self._parameters: dict[str, Any] | None = None
        with suppress(UnicodeDecodeError):
            self._parameters = json.loads(request.parameters() or "{}")
        given = reversed((self._parameters or {}).items())  # of several spellings the first counts
        self._headers = {name.lower(): str(value) for name, value in given}
        self._asked = time.monotonic()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters by name.

        Raises RequestError (``invalid_parameter``) if they aren't UTF-8.
        """
        if self._parameters is None:
            raise RequestError(
                "invalid_parameter", "parameters and the header X-Request-Id must be UTF-8"
            )
        return self._parameters

    def header(self, name: str) -> str:
        """Return a header that Triton passed on as a parameter (name in lower case), or ""."""
        return self._headers.get(name, "")

    @property
    def id(self) -> str:
        """The request id: the gateway's (header X-Request-Id), or else the client's."""
        return self.header("x-request-id") or self._id

    def check_not_cancelled(self) -> None:
        """Raise CancelledError if the request was cancelled or its deadline has passed."""
        # Triton's answer takes a round trip to its process, so a moment later isn't worth asking.
        if time.monotonic() - self._asked > _RECENT:
            self._asked = time.monotonic()
            if self._sender.is_cancelled():
                raise CancelledError("the request was cancelled")
        # A Unix time by the gateway's clock. A value that isn't a number is ignored.
        with suppress(ValueError):
            if time.time() > float(self.header(DEADLINE) or "inf"):
                raise CancelledError("the request's deadline passed before its turn came")

    def wait_for_memory(self, admit: Callable[[int], None], need: int) -> None:
        """Wait for `need` bytes of memory; CancelledError if the sender has meanwhile given up."""
        admit(need)
        self.check_not_cancelled()

    def send(self, response: Any) -> None:
        """Send the response; it is the only one."""
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
