"""Starting nginx as the edge, in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from aurum.edge import keys, render
from aurum.edge.render import MODULES, EdgeError
from aurum.settings import Settings


def command(settings: Settings) -> list[str]:
    """nginx's command line, with its configuration written and checked. Raises EdgeError."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None or not (MODULES / "ngx_http_js_module.so").is_file():
        raise EdgeError(
            "nginx or its njs module is missing; on Debian or Ubuntu: "
            "apt-get install nginx-light libnginx-mod-http-js"
        )
    keys.read(settings.edge_keys)  # says which line is wrong; nginx would pass over it in silence
    path = render.write(settings)
    line = [nginx, "-p", str(settings.edge_folder), "-c", str(path)]
    check = subprocess.run([*line, "-t"], capture_output=True, text=True, check=False)
    if check.returncode:
        raise EdgeError(f"nginx refuses its configuration:\n{check.stderr}")
    return line


def replace_process(settings: Settings) -> None:
    """Become nginx: SIGHUP reads the configuration and the certificate anew, SIGQUIT drains."""
    line = command(settings)
    os.execv(line[0], line)  # noqa: S606 - a fixed argument list, and nothing to interpret


def reload(settings: Settings) -> None:
    """Have the running edge read settings and certificate anew; what is in flight ends as it began.

    Raises EdgeError.
    """
    command(settings)
    file = settings.edge_folder / "nginx.pid"
    try:
        os.kill(int(file.read_text()), signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise EdgeError(f"no edge runs in {settings.edge_folder}") from error


class Edge:
    """An nginx of its own, for tests and benchmarks; leaving the context ends it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = settings.edge_folder / "error.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address for HTTP clients."""
        return f"https://{self.settings.edge_host}:{self.settings.edge_port}"

    @property
    def grpc_url(self) -> str:
        """Its address for gRPC clients."""
        return f"grpcs://{self.settings.edge_host}:{self.settings.edge_port}"

    def access(self) -> list[str]:
        """The lines of the access log so far."""
        return Path(self.settings.edge_log).read_text().splitlines()

    def __enter__(self) -> Edge:
        line = command(self.settings)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.settings.edge_host, self.settings.edge_port)).close()
                return self
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._end(signal.SIGKILL)
                    raise EdgeError(f"nginx did not start: {self.log.read_text()}") from error
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
