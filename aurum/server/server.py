"""One tritonserver process: start it, wait until it answers, drain and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO

from aurum_client import AurumError, FaceClient

from aurum import contract, drain, kernels
from aurum.paths import PHOTO
from aurum.server import closed_port, preflight, runtime, served_copy
from aurum.server.claim import Claim
from aurum.server.hang import Watchdog
from aurum.server.log import Log
from aurum.server.preflight import ServerError
from aurum.server.stubs import RESCUE_TIMEOUT, Stubs
from aurum.settings import Settings

__all__ = ["Server", "ServerError"]


class Server:
    """A tritonserver for the three repositories in `settings.repositories`.

    Use it as a context manager: leaving it stops the server and every process that it started.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = Log(settings.log_folder / f"tritonserver-{settings.http_port}.log")
        self.log = self._log.path
        self.note, self.reasons = self._log.note, self._log.reasons
        self._claim = Claim(settings)
        self._copy = served_copy.ServedCopy(settings, self.log)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.kernels = kernels.Choice("", reason="the server was not started")

    @property
    def pid(self) -> int:
        """Process id of tritonserver; its Python stubs are its children."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status of the process, as defined by subprocess; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def busy(self) -> int:
        """Number of photos that the pipelines are working on."""
        return drain.count_in_flight(Path(self._folder.name)) if self._folder else 0

    @property
    def failure_is_transient(self) -> bool:
        """Whether, according to the log, another start may succeed after this one failed."""
        return self._log.is_transient(self.exit_status)

    def describe_exit(self) -> str:
        """Say how the process ended."""
        return self._log.describe_exit(self.exit_status)

    def missing(self) -> str:
        """Say which of the files that the server needs were removed; empty if none were."""
        if self._folder is not None and not Path(self._folder.name, "backends").is_dir():
            return f"files that it needs were removed: {self._folder.name}"
        return self._copy.missing()

    def watchdog(self, stubs: Stubs) -> Watchdog:
        """Return a watchdog for the running process and its `stubs`."""
        assert self._folder is not None, "the server was not started"
        return Watchdog(self.pid, Path(self._folder.name), self.settings, stubs)

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def claim(self) -> None:
        """Take the locks for our ports, and keep them until `stop`.

        Raises ClaimedError if another server has them, and ServerError if they can't be written.
        """
        with preflight.as_server_error():
            preflight.check_folders(self.settings)
            self._claim.take()

    def start(self) -> None:
        """Start the process without waiting for it. Raises ServerError if a check fails.

        The previous server's log is kept as ``.log.1``.
        """
        self.claim()
        try:
            with preflight.as_server_error():
                self._start()
        except BaseException:
            self._clear()
            self._claim.release()
            raise

    def _start(self) -> None:
        preflight.check_ports(self.settings)
        preflight.check_shared_memory()
        runtime.clear_shared_memory(self.settings)  # left by a server that was killed
        self._folder = tempfile.TemporaryDirectory(prefix="aurum-")
        folder = Path(self._folder.name)
        runtime.assemble_backends(folder / "backends")
        self._copy.open()
        self.kernels = kernels.choose(
            self.settings, self._copy.folder / "model_repository", contract.MODELS
        )
        self._log.begin()
        # Opened for appending, because `note` writes to the file, too.
        with self.log.open("ab") as log:
            self._process = self._spawn(folder, log)

    def wait_ready(self) -> None:
        """Wait until the server has answered a real photo over HTTP and over gRPC.

        Triton's own readiness check is not enough: it does not notice that a Python stub died.

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
        if self._folder is not None:  # else it was not started, or has been stopped already
            with closed_port.closed(self.settings.grpc_port):
                self._drain(drain.Admission.CLOSING, self.settings.drain_timeout)
                if self._process is not None and self.running:
                    self._process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(timeout=runtime.EXIT_TIMEOUT + 10)
                self._clear()
        self._claim.release()

    def give_up(self) -> None:
        """Like `stop`, but if a part of the server is dead: drain for RESCUE_TIMEOUT only."""
        if self._folder is not None:
            self._drain(drain.Admission.CLOSED, RESCUE_TIMEOUT)
            self._clear()

    def _drain(self, admission: drain.Admission, timeout: float) -> None:
        assert self._folder is not None
        drain.drain(Path(self._folder.name), admission, timeout, lambda: self.running)

    def _clear(self) -> None:
        """End remaining processes, and remove their files."""
        if self._process is not None:
            self.kill()  # including stubs, which outlive a tritonserver that was killed
            self._process.wait()
            self._process = None  # the system may reuse its id from now on
            runtime.clear_shared_memory(self.settings)
        self._copy.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def kill(self) -> None:
        """End every process at once."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # all have ended already

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
        # Triton 2.51 passes the step's path to a shell without quoting, so spaces would break it.
        link = folder / "served"
        link.symlink_to(self._copy.folder)
        served = replace(self.settings, repositories=link)
        line = [*runtime.command(served, folder / "backends", self.kernels), *served_copy.FLAGS]
        return subprocess.Popen(
            runtime.ended_with_parent(line),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**runtime.environment(self.settings), drain.FOLDER_VARIABLE: str(folder)},
            # In its own session, so that only we get Ctrl-C and can shut it down in order.
            start_new_session=True,
        )
