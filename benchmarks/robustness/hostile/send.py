"""Send a request unchanged, over HTTP, gRPC or a bare connection, and return the answer."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from benchmarks.robustness.hostile.requests import Call

HANG = 60.0  # seconds; a longer wait counts as a hang
NONE = "no answer"
LEFT = "left"  # the client disconnected before the answer, on purpose
_Found = tuple[str, bytes, Mapping[str, str], str]  # status, body, headers, error
_LEFT: _Found = (LEFT, b"", {}, "")
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Address:
    """The service's addresses, API key and certificate authority."""

    http: str
    grpc: str
    key: str = ""
    ca: Path | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers with the key, if there is one."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True)
class Answer:
    """The answer. `status` is HTTP's number, gRPC's name, NONE or LEFT."""

    status: str
    body: bytes
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""  # gRPC's message, or why there is no answer
    plain: bool = False  # a success has no tensors, since health was requested

    @property
    def text(self) -> str:
        """The message of an error."""
        return self.error or self.body.decode(errors="replace")


class Sender:
    """Connections of one thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http: http.client.HTTPConnection | None = None
        self._context = ssl.create_default_context(cafile=address.ca)
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
        """Send a request once, without retrying; after an error the next one reconnects."""
        began = time.perf_counter()
        ways = {"grpc": self._by_grpc, "raw": self._bare, "http2": self._by_curl}
        try:
            found = ways.get(call.protocol, self._by_http)(call)
        except TimeoutError:
            self._drop()
            found = _LEFT if call.patience < HANG else (NONE, b"", {}, "no answer in time")
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            found = (NONE, b"", {}, repr(error))
        plain = call.protocol in ("raw", "http2")
        return Answer(found[0], found[1], time.perf_counter() - began, *found[2:], plain=plain)

    def _by_http(self, call: Call) -> _Found:
        timeout = min(call.patience, HANG)
        if self._http is None:
            target = urlsplit(self._address.http)
            if target.scheme == "https":
                self._http = http.client.HTTPSConnection(target.netloc, context=self._context)
            else:
                self._http = http.client.HTTPConnection(target.netloc)
            self._http.timeout = HANG
            self._http.connect()
        self._http.sock.settimeout(timeout)
        path = f"/v2/models/{call.model}/infer"
        self._http.request("POST", path, call.body, {**self._address.headers, **call.headers})
        answer = self._http.getresponse()
        body = answer.read()
        if answer.will_close:
            self._drop()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return str(answer.status), body, headers, ""

    def _by_grpc(self, call: Call) -> _Found:
        sent = self._infer.future(
            call.body, timeout=HANG, metadata=tuple(self._address.headers.items())
        )
        try:
            return "OK", sent.result(call.patience if call.patience < HANG else None), {}, ""
        except grpc.FutureTimeoutError:
            sent.cancel()
            return _LEFT
        except grpc.RpcError as error:
            return error.code().name, b"", {}, str(error.details())

    def _bare(self, call: Call) -> _Found:
        target = urlsplit(self._address.http)
        with socket.create_connection((target.hostname, target.port), HANG) as plain:
            secure = self._context.wrap_socket(plain, server_hostname=target.hostname)
            with secure:
                secure.sendall(call.body)
                answer = http.client.HTTPResponse(secure, method=call.body.split()[0].decode())
                answer.begin()
                return str(answer.status), answer.read(), {}, ""

    def _by_curl(self, call: Call) -> _Found:
        """Use curl, since gRPC's own clients don't send such requests."""
        headers = [
            part for name, value in call.headers.items() for part in ("-H", f"{name}: {value}")
        ]
        shown = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", str(self._address.ca), "-D", "-",  # noqa: S607
             "--max-time", f"{HANG:.0f}", *headers, "--data-binary", "@-",
             self._address.http + call.model],
            input=call.body, capture_output=True, check=False,
        )  # fmt: skip
        head, _, body = shown.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if not head.startswith(b"HTTP/"):
            return NONE, b"", {}, shown.stderr.decode(errors="replace")
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "grpc-status" not in found:
            return lines[0].split()[1], body, found, ""
        status = next(
            code.name for code in grpc.StatusCode if code.value[0] == int(found["grpc-status"])
        )
        return status, b"", found, found.get("grpc-message", "")

    def _drop(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def close(self) -> None:
        """Close all connections."""
        self._drop()
        self._channel.close()
