"""One tritonserver process: started, watched until it really answers, drained and stopped."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from aurum_client import AurumError, FaceClient

from aurum.errors import OperatorError
from aurum.models.prove import PHOTO
from aurum.pipeline import in_flight
from aurum.server import live, runtime
from aurum.server.stubs import RESCUE
from aurum.settings import CHECKOUT, Settings

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ServerError(OperatorError, RuntimeError):
    """The server can't be started, or died; the message says why as far as its log tells."""


class Server:
    """A tritonserver over the three repositories under `settings.repositories`.

    Use as a context manager: leaving it stops the server and every process it started.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = CHECKOUT / ".aurum" / f"tritonserver-{settings.http_port}.log"
        self._live = live.Live(settings, self.log)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def pid(self) -> int:
        """Process id of tritonserver; its Python stubs are its children."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Of the ended process, as subprocess gives it; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def busy(self) -> int:
        """Photos that the pipelines are working on."""
        return in_flight.total(Path(self._folder.name)) if self._folder else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, without waiting. Raises ServerError for a taken port.

        The log of the server before it is kept as ``.log.1``.
        """
        self._check_ports()
        runtime.clear_shared_memory(self.settings)  # of a server that was killed together with us
        self._folder = tempfile.TemporaryDirectory(prefix="aurum-")
        folder = Path(self._folder.name)
        runtime.assemble_backends(folder / "backends")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._live.open()
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:  # others add to it: live.Running reads, `note` writes
            self._process = self._spawn(folder, log)

    def wait_ready(self) -> None:
        """Wait until a real photo has been answered over HTTP and over gRPC.

        Triton's own readiness is not enough: it does not notice a Python stub that has died.

        Raises ServerError if the process ends, or takes longer than `settings.ready_timeout`.
        """
        deadline = time.monotonic() + self.settings.ready_timeout
        photo = PHOTO.read_bytes()
        for url in (self.settings.http_url, self.settings.grpc_url):
            while True:
                if not self.running:
                    raise ServerError(f"tritonserver ended while starting:\n{self.reasons()}")
                try:
                    with FaceClient(url, timeout=10, retries=0) as client:
                        client.analyze(photo)
                    break
                except AurumError as error:
                    if time.monotonic() > deadline:
                        raise ServerError(
                            f"no answer from {url} within {self.settings.ready_timeout:g} s "
                            f"({error}):\n{self.reasons()}"
                        ) from error
                    time.sleep(0.1)

    def stop(self) -> None:
        """Let requests in flight finish (`settings.drain_timeout`), then end every process."""
        if self._folder is None:
            return  # not started, or stopped already
        self._drain(in_flight.Door.CLOSING, self.settings.drain_timeout)
        if self._process is not None and self.running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=runtime.EXIT_TIMEOUT + 10)
        self._clear()

    def give_up(self) -> None:
        """As `stop`, where a part of the server is dead: what can be answered soon is, no more."""
        if self._folder is not None:
            self._drain(in_flight.Door.CLOSED, RESCUE)
            self._clear()

    def _drain(self, door: in_flight.Door, timeout: float) -> None:
        assert self._folder is not None
        in_flight.drain(Path(self._folder.name), door, timeout, lambda: self.running)

    def _clear(self) -> None:
        """End what is left, and remove what it leaves."""
        assert self._folder is not None
        if self._process is not None:
            self.kill()  # stubs, too, which outlive a tritonserver that was killed
            self._process.wait()
            runtime.clear_shared_memory(self.settings)
        self._live.close()
        self._folder.cleanup()
        self._folder = None

    def kill(self) -> None:
        """End every process at once."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # all of them have ended already

    def note(self, event: str, message: str) -> None:
        """Add a line of our own to the log, in the form of the requests' lines."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": "warning", "event": event, "message": message}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def reasons(self, lines: int = 15) -> str:
        """The lines of the log that say what went wrong, or its end."""
        text = self.log.read_text(errors="replace").splitlines()
        told = [line for line in text if "failed to load" in line or line.startswith("error:")]
        chosen = told or [line for line in text if line.strip()][-lines:]
        return "\n".join(line[:600] for line in chosen[:lines]) + f"\n(log: {self.log})"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        served = replace(self.settings, repositories=self._live.folder)
        return subprocess.Popen(
            [*runtime.command(served, folder / "backends"), *live.FLAGS],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**runtime.environment(self.settings), in_flight.FOLDER_VARIABLE: str(folder)},
            # Its own session: Ctrl-C reaches us alone, and we end it in order.
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no locks
        )

    def _check_ports(self) -> None:
        for name in ("http_port", "grpc_port", "metrics_port"):
            port = getattr(self.settings, name)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.settings.host, port))
                except OSError as error:
                    raise ServerError(
                        f"port {port} on {self.settings.host} can't be used ({error.strerror}); "
                        f"end what uses it or set AURUM_{name.upper()} to a free port"
                    ) from None


def _die_with_parent() -> None:
    """Have the kernel end tritonserver if we are killed: no orphan keeps the ports."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
