"""Sending a request as it was made, over HTTP and gRPC, and what came back."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from benchmarks.hostile.requests import Call

HANG = 60.0  # seconds: what takes longer hangs
NONE = "no answer"
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Address:
    """Where the service is, and what it wants to be told."""

    http: str
    grpc: str
    key: str = ""
    ca: Path | None = None

    @property
    def headers(self) -> dict[str, str]:
        """With the key, where there is one."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is HTTP's number, gRPC's name, or NONE."""

    status: str
    body: bytes
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""  # what gRPC says, or why there is no answer

    @property
    def text(self) -> str:
        """The message of an error."""
        return self.error or self.body.decode(errors="replace")


class Sender:
    """Connections of one thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http: http.client.HTTPConnection | None = None
        target = urlsplit(address.grpc)
        options: Sequence[tuple[str, int]] = (("grpc.max_receive_message_length", -1),)
        if target.scheme == "grpcs":
            roots = address.ca.read_bytes() if address.ca else None
            secure = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(target.netloc, secure, options)
        else:
            self._channel = grpc.insecure_channel(target.netloc, options)
        self._infer = self._channel.unary_unary(METHOD)  # bytes in, bytes out

    def send(self, call: Call) -> Answer:
        """Send it once. A connection that was closed meanwhile is opened again; nothing else is."""
        began = time.perf_counter()
        try:
            found = self._by_grpc(call) if call.protocol == "grpc" else self._by_http(call)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            found = (NONE, b"", {}, repr(error))
        status, body, headers, message = found
        return Answer(status, body, time.perf_counter() - began, headers, message)

    def _by_http(self, call: Call) -> tuple[str, bytes, Mapping[str, str], str]:
        if self._http is None:
            target = urlsplit(self._address.http)
            if target.scheme == "https":
                context = ssl.create_default_context(cafile=self._address.ca)
                self._http = http.client.HTTPSConnection(
                    target.netloc, timeout=HANG, context=context
                )
            else:
                self._http = http.client.HTTPConnection(target.netloc, timeout=HANG)
        path = f"/v2/models/{call.model}/infer"
        self._http.request("POST", path, call.body, {**call.headers, **self._address.headers})
        answer = self._http.getresponse()
        body = answer.read()
        if answer.will_close:
            self._drop()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return str(answer.status), body, headers, ""

    def _by_grpc(self, call: Call) -> tuple[str, bytes, Mapping[str, str], str]:
        try:
            metadata = tuple(self._address.headers.items())
            return "OK", self._infer(call.body, timeout=HANG, metadata=metadata), {}, ""
        except grpc.RpcError as error:
            return error.code().name, b"", {}, str(error.details())

    def _drop(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def close(self) -> None:
        """Close all connections."""
        self._drop()
        self._channel.close()
