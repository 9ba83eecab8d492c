"""``python3 -m aurum.server.container [FLAG ...]``: NVIDIA's tritonserver with our flags.

For an image in which `tritonserver` is on the PATH, with its own backends (Dockerfile). Flags are
handed on. SIGTERM and SIGINT first let the requests in flight finish, as `aurum up` does. When a
Python process of Triton's dies or hangs we end, so that Compose or Kubernetes starts the container
anew. As long as all is well we touch the file ALIVE, for Kubernetes to see that we don't hang.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from aurum import contract, drain, kernels
from aurum.drain import Door
from aurum.errors import OperatorError
from aurum.server import closed_port, preflight, runtime
from aurum.server.hang import Watchdog
from aurum.server.process_metrics import ProcessMetrics
from aurum.server.stubs import LOOK, RESCUE, Stubs
from aurum.settings import Settings

# Younger than some seconds while we look after the server (deploy/kubernetes, `livenessProbe`).
ALIVE = Path(tempfile.gettempdir()) / "aurum-alive"


def main(arguments: Sequence[str]) -> int:
    """Run tritonserver until it ends, whose exit status this is, or until we are asked to stop: 0.

    Triton's own would then be 1 where a client's idle connection outlasts its exit timeout. 1 where
    one of its Python processes has died or hangs.
    """
    settings = Settings.from_env()
    preflight.check_graphs(settings.repositories)
    preflight.check_shared_memory()
    runtime.clear_shared_memory(settings)  # the container's before this one, in the same pod
    chosen = choose_kernels(settings, arguments)
    print(f"aurum: kernels: {chosen}", flush=True)
    flags = [*runtime.flags(settings, chosen, _on_gpu(arguments)), *arguments]
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        server = subprocess.Popen(
            ["tritonserver", *flags],  # noqa: S607 - the image's
            env={**runtime.process_environment(settings), drain.FOLDER_VARIABLE: folder},
            process_group=0,  # to end its Python processes with it
        )

        def finish(door: Door, seconds: float) -> None:
            drain.drain(Path(folder), door, seconds, lambda: server.poll() is None)

        stubs = Stubs(server.pid)
        watchdog = Watchdog(server.pid, Path(folder), settings, stubs)
        reason = ""
        with ProcessMetrics(settings, server.pid, stubs):
            while server.poll() is None and not reason and not stopping.wait(LOOK):
                ALIVE.touch()
                dead = stubs.dead()
                reason = f"the process of {', '.join(dead)} died" if dead else watchdog.hung()
        watchdog.close()
        if reason:
            print(f"aurum: {reason}", file=sys.stderr, flush=True)
            finish(Door.CLOSED, RESCUE)
            # A dead process's requests would outlast any patience.
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            return 1
        with closed_port.closed(settings.grpc_port):
            if server.poll() is None:
                finish(Door.CLOSING, settings.drain_timeout)
                server.terminate()
            status = server.wait()
        return 0 if stopping.is_set() else status


def _on_gpu(arguments: Sequence[str]) -> bool:
    return "--model-config-name=gpu" in arguments


def choose_kernels(settings: Settings, arguments: Sequence[str]) -> kernels.Choice:
    """Our kernels, unless the flags name other configurations of the models, as for a GPU."""
    if any(flag.startswith("--model-config-name") for flag in arguments):
        return kernels.Choice("", reason="the flags name other configurations")
    return kernels.choose(settings, settings.repositories / "model_repository", contract.MODELS)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OperatorError as error:
        sys.exit(f"aurum: {error}")
