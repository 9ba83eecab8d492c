"""Throwaway gateways for tests and benchmarks, on free ports with a generated certificate."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from aurum.gateway import keys, run
from aurum.gateway.render import GatewayError, bare, bracketed
from aurum.server.ephemeral import free_ports
from aurum.settings import Settings


@dataclass(frozen=True)
class Running:
    """A running gateway, its certificate authority, and an API key."""

    gateway: Gateway
    ca: Path
    key: str


def certificate(folder: Path) -> None:
    """Write ca.crt, tls.crt and tls.key for localhost with openssl; a second call renews tls.*."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    if not (folder / "ca.crt").exists():
        own = ("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test", "-days", "2")
        openssl("req", "-x509", *new, *own)
    openssl("req", *new, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "tls.csr", "-out", "tls.crt", *signing)


def settled(settings: Settings, folder: Path) -> Settings:
    """Return settings of a gateway with its files in `folder`, on a free port."""
    (port,) = free_ports(1)
    return replace(
        settings,
        gateway_port=port,
        gateway_certificate=folder / "tls.crt",
        gateway_certificate_key=folder / "tls.key",
        gateway_keys=folder / "keys",
        gateway_folder=folder / "run",
    )


def unlimited(settings: Settings) -> Settings:
    """Return settings of a gateway whose limits are too high to be reached."""
    return replace(settings, gateway_rate=100_000, gateway_burst=100_000, gateway_connections=1000)


@contextmanager
def running(servers: Iterable[Settings], settings: Settings) -> Iterator[Running]:
    """Run a gateway in front of these servers; only its limits come from `settings`."""
    # Directly in the temporary folder, where nginx's workers (another user under root) can read.
    with tempfile.TemporaryDirectory(prefix="aurum-gateway-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        certificate(folder)
        behind = ",".join(
            f"{bracketed(item.host)}:{item.http_port}:{item.grpc_port}" for item in servers
        )
        settings = replace(
            settled(settings, folder),
            gateway_servers=behind,
            gateway_log=str(folder / "access.log"),
        )
        key = keys.add(settings.gateway_keys, "test")
        with Gateway(settings) as gateway:
            yield Running(gateway, folder / "ca.crt", key)


class Gateway:
    """A separate nginx; leaving the context stops it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = settings.gateway_folder / "error.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of nginx's master; its workers are its children."""
        assert self._process is not None, "the gateway was not started"
        return self._process.pid

    @property
    def url(self) -> str:
        """Address for HTTP clients."""
        return f"https://{self._authority}"

    @property
    def grpc_url(self) -> str:
        """Address for gRPC clients."""
        return f"grpcs://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"{bracketed(self.settings.gateway_host)}:{self.settings.gateway_port}"

    def access(self) -> list[str]:
        """Return the lines of the access log so far."""
        return Path(self.settings.gateway_log).read_text().splitlines()

    def disturbed(self) -> list[str]:
        """Return the lines of nginx's error log that mean it counted a failure of a server."""
        words = ("temporarily disabled", "no live upstreams", "rejected request", "prematurely")
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in words)]

    def __enter__(self) -> Gateway:
        line = run.command(self.settings)
        self._errors = self.log.open("ab")
        self._process, self._copier = run.start(line, self._errors)
        deadline = time.monotonic() + 10
        while True:
            try:
                address = (bare(self.settings.gateway_host), self.settings.gateway_port)
                socket.create_connection(address).close()
                return self
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._end(signal.SIGKILL)
                    raise GatewayError(f"nginx did not start: {self.log.read_text()}") from error
                time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=30)
        self._copier.join()
        self._errors.close()
