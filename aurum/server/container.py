"""``python3 -m aurum.server.container [FLAG ...]``: NVIDIA's tritonserver with our flags.

It runs in an image that has `tritonserver` on the PATH, with its own backends (Dockerfile). Flags
are passed on. On SIGTERM and SIGINT, the requests in flight finish first, as in `aurum up`. If one
of Triton's Python processes dies or hangs, this process ends, so that Compose or Kubernetes
restarts the container. While all is well, it touches the file ALIVE, for Kubernetes' liveness
probe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from aurum import contract, drain, kernels
from aurum.contract import REPOSITORIES
from aurum.drain import Admission
from aurum.errors import OperatorError, text
from aurum.server import closed_port, preflight, process_metrics, runtime, triton_version
from aurum.server.hang import Watchdog
from aurum.server.stubs import POLL_INTERVAL, RESCUE_TIMEOUT, Stubs
from aurum.settings import Settings

# Touched every few moments while we watch the server (deploy/kubernetes, `livenessProbe`).
ALIVE = Path(tempfile.gettempdir()) / "aurum-alive"


def main(arguments: Sequence[str]) -> int:
    """Run tritonserver until it ends or a stop is requested; return the exit status.

    This is tritonserver's status; 1 if one of its Python processes died or hangs; or 0 after a
    requested stop, because Triton's status is then 1 if an idle connection outlasts its exit
    timeout.
    """
    settings = Settings.from_env()
    preflight.check_graphs(settings.repositories, settings.served_models)
    preflight.check_shared_memory()
    runtime.clear_shared_memory(settings)  # left by a previous container in the same pod
    chosen = choose_kernels(settings, arguments)
    print(f"aurum: kernels: {chosen}", flush=True)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        repositories = link_repositories(settings, Path(folder) / "served")
        served = replace(settings, repositories=repositories)
        common = runtime.flags(served, chosen, _on_gpu(arguments), triton_version.version())
        server = subprocess.Popen(
            ["tritonserver", *common, *arguments],  # noqa: S607 - the image's
            env={**runtime.process_environment(settings), drain.FOLDER_VARIABLE: folder},
            process_group=0,  # to end its Python processes with it
        )

        def finish(admission: Admission, seconds: float) -> None:
            drain.drain(Path(folder), admission, seconds, lambda: server.poll() is None)

        stubs = Stubs(server.pid)
        watchdog = Watchdog(server.pid, Path(folder), settings, stubs)
        reason = ""
        with process_metrics.serving(settings, server.pid, stubs):
            while server.poll() is None and not reason and not stopping.wait(POLL_INTERVAL):
                ALIVE.touch()
                dead = stubs.dead()
                reason = f"the process of {', '.join(dead)} died" if dead else watchdog.hung()
        watchdog.close()
        if reason:
            print(f"aurum: {reason}", file=sys.stderr, flush=True)
            finish(Admission.CLOSED, RESCUE_TIMEOUT)
            # Requests of a dead process would never finish.
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            return 1
        with closed_port.closed(settings.grpc_port):
            if server.poll() is None:
                finish(Admission.CLOSING, settings.drain_timeout)
                server.terminate()
            status = server.wait()
        return 0 if stopping.is_set() else status


def link_repositories(settings: Settings, folder: Path) -> Path:
    """Link what is served into `folder`: all repositories, without a liveness that nobody wants.

    Triton loads every model of a repository, and the image and the mounted volume may be read-only.
    """
    for repository in REPOSITORIES:
        (folder / repository).mkdir(parents=True)
        for model in (settings.repositories / repository).iterdir():
            if settings.liveness or model.name != contract.LIVENESS:
                (folder / repository / model.name).symlink_to(model.absolute())
    return folder


def _on_gpu(arguments: Sequence[str]) -> bool:
    return "--model-config-name=gpu" in arguments


def choose_kernels(settings: Settings, arguments: Sequence[str]) -> kernels.Choice:
    """Choose the kernels, unless the flags name other model configurations, as for a GPU."""
    if any(flag.startswith("--model-config-name") for flag in arguments):
        return kernels.Choice("", reason="the flags name other configurations")
    return kernels.choose(settings, settings.repositories / "model_repository", contract.MODELS)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OperatorError as error:
        sys.exit(f"aurum: {error}")
    except OSError as error:
        sys.exit(f"aurum: {text(error)}")
