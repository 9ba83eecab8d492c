"""One tritonserver process: started, watched until it really answers, drained and stopped."""

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
from aurum.server.stubs import RESCUE, Stubs
from aurum.settings import Settings

__all__ = ["Server", "ServerError"]


class Server:
    """A tritonserver over the three repositories under `settings.repositories`.

    Use as a context manager: leaving it stops the server and every process it started.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = Log(settings.log_folder / f"tritonserver-{settings.http_port}.log")
        self.log = self._log.path
        self.note, self.reasons = self._log.note, self._log.reasons
        self._claim = Claim(settings)
        self._live = served_copy.Live(settings, self.log)
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
        """Of the ended process, as subprocess gives it; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def busy(self) -> int:
        """Photos that the pipelines are working on."""
        return drain.total(Path(self._folder.name)) if self._folder else 0

    @property
    def died_by_chance(self) -> bool:
        """Whether what its log says of its death during a start may not happen at the next."""
        return self._log.by_chance(self.exit_status)

    def how_it_ended(self) -> str:
        """In words, of the ended process."""
        return self._log.how(self.exit_status)

    def missing(self) -> str:
        """What has been removed of the files that it needs, if anything."""
        if self._folder is not None and not Path(self._folder.name, "backends").is_dir():
            return f"files that it needs were removed: {self._folder.name}"
        return self._live.missing()

    def watchdog(self, stubs: Stubs) -> Watchdog:
        """Of the running process, whose steps are `stubs`."""
        assert self._folder is not None, "the server was not started"
        return Watchdog(self.pid, Path(self._folder.name), self.settings, stubs)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def claim(self) -> None:
        """Have the ports' files to ourselves from now on, until `stop`.

        Raises ClaimedError where another server has them, and ServerError where they can't be
        written.
        """
        with preflight.one_line():
            preflight.check_folders(self.settings)
            self._claim.take()

    def start(self) -> None:
        """Start the process, without waiting. Raises ServerError for what stands in its way.

        The log of the server before it is kept as ``.log.1``.
        """
        self.claim()
        try:
            with preflight.one_line():
                self._start()
        except BaseException:
            self._clear()
            self._claim.release()
            raise

    def _start(self) -> None:
        preflight.check_ports(self.settings)
        preflight.check_shared_memory()
        runtime.clear_shared_memory(self.settings)  # of a server that was killed together with us
        self._folder = tempfile.TemporaryDirectory(prefix="aurum-")
        folder = Path(self._folder.name)
        runtime.assemble_backends(folder / "backends")
        self._live.open()
        self.kernels = kernels.choose(
            self.settings, self._live.folder / "model_repository", contract.MODELS
        )
        self._log.begin()
        with self.log.open(
            "ab"
        ) as log:  # others add to it: served_copy.Running reads, `note` writes
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
        if self._folder is not None:  # else it was not started, or has been stopped already
            with closed_port.closed(self.settings.grpc_port):
                self._drain(drain.Door.CLOSING, self.settings.drain_timeout)
                if self._process is not None and self.running:
                    self._process.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(timeout=runtime.EXIT_TIMEOUT + 10)
                self._clear()
        self._claim.release()

    def give_up(self) -> None:
        """As `stop`, where a part of the server is dead: what can be answered soon is, no more."""
        if self._folder is not None:
            self._drain(drain.Door.CLOSED, RESCUE)
            self._clear()

    def _drain(self, door: drain.Door, timeout: float) -> None:
        assert self._folder is not None
        drain.drain(Path(self._folder.name), door, timeout, lambda: self.running)

    def _clear(self) -> None:
        """End what is left, and remove what it leaves."""
        if self._process is not None:
            self.kill()  # stubs, too, which outlive a tritonserver that was killed
            self._process.wait()
            self._process = None  # its number may be another's from now on
            runtime.clear_shared_memory(self.settings)
        self._live.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def kill(self) -> None:
        """End every process at once."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # all of them have ended already

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
        # Triton 2.51 hands the paths of steps to a shell as they are: none with a space, or quotes.
        link = folder / "served"
        link.symlink_to(self._live.folder)
        served = replace(self.settings, repositories=link)
        return subprocess.Popen(
            [*runtime.command(served, folder / "backends", self.kernels), *served_copy.FLAGS],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**runtime.environment(self.settings), drain.FOLDER_VARIABLE: str(folder)},
            # Its own session: Ctrl-C reaches us alone, and we end it in order.
            start_new_session=True,
            preexec_fn=runtime.die_with_parent,  # noqa: PLW1509 - one system call, no locks
        )
