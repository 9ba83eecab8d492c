"""One request to a step, and its answer. Only importable inside Triton."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import triton_python_backend_utils as pb_utils

from aurum.pipeline.request import RequestError

# The gateway's headers that Triton passes on as parameters (runtime.FORWARDED): when the sender
# stops waiting, and whose photo it is.
DEADLINE = "x-aurum-deadline"
KEY = "x-aurum-key"


class CancelledError(Exception):
    """Nobody waits for the answer any more."""


class Call:
    """A request, copied out of the memory shared with Triton, and the way to answer it."""

    def __init__(self, request: Any) -> None:
        value = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        self.image = bytes(value.reshape(-1)[0])  # the encoded photo
        self.wanted: list[str] = list(request.requested_output_names())
        self._sender = request.get_response_sender()
        # What is no UTF-8 is an error where it is asked for.
        self._id = ""
        with suppress(UnicodeDecodeError):
            self._id = str(request.request_id())
        self._parameters: str | None = None
        with suppress(UnicodeDecodeError):
            self._parameters = str(request.parameters())

    @property
    def parameters(self) -> str:
        """The parameters as JSON; RequestError (``invalid_parameter``) if they are not text."""
        if self._parameters is None:
            raise RequestError(
                "invalid_parameter", "parameters and the header X-Request-Id must be UTF-8"
            )
        return self._parameters

    def header(self, wanted: str) -> str:
        """What Triton hands on of a header as a parameter; empty where there is none."""
        for name, value in json.loads(self._parameters or "{}").items():
            if name.lower() == wanted:
                return str(value)
        return ""

    @property
    def id(self) -> str:
        """The gateway's (header X-Request-Id), else the client's."""
        return self.header("x-request-id") or self._id

    def check_wanted(self) -> None:
        """Raise CancelledError if whoever sent it has gone, or its deadline has passed."""
        if self._sender.is_cancelled():
            raise CancelledError("the request was cancelled")
        # By the gateway's clock, as a Unix time. What is no number is nobody's deadline.
        with suppress(ValueError):
            if time.time() > float(self.header(DEADLINE) or "inf"):
                raise CancelledError("the request's deadline passed before its turn came")

    def admitted(self, admit: Callable[[int], None], need: int) -> None:
        """Wait for memory to decode the photo in; CancelledError if by then nobody waits for it."""
        admit(need)
        self.check_wanted()

    def send(self, response: Any) -> None:
        """Answer it."""
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
