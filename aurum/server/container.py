"""``python3 -m aurum.server.container [FLAG ...]``: NVIDIA's tritonserver with our flags.

For an image in which `tritonserver` is on the PATH, with its own backends (Dockerfile). Flags are
handed on. SIGTERM and SIGINT first let the requests in flight finish, as `aurum up` does.
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

from aurum.errors import OperatorError
from aurum.pipeline import in_flight
from aurum.server import runtime
from aurum.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Run tritonserver until it ends, whose exit status this is, or until we are asked to stop: 0.

    Triton's own would then be 1 where a client's idle connection outlasts its exit timeout.
    """
    settings = Settings.from_env()
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        server = subprocess.Popen(
            ["tritonserver", *runtime.flags(settings), *arguments],  # noqa: S607 - the image's
            env={**os.environ, **settings.to_env(), in_flight.FOLDER_VARIABLE: folder},
        )
        while server.poll() is None and not stopping.wait(0.2):
            pass
        if server.poll() is None:
            in_flight.wait_idle(Path(folder), settings.drain_timeout, lambda: server.poll() is None)
            server.terminate()
        status = server.wait()
        return 0 if stopping.is_set() else status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OperatorError as error:
        sys.exit(f"aurum: {error}")
