"""Run nginx as the gateway, in the foreground."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import BinaryIO

from aurum.gateway import certificate, keys, render
from aurum.gateway.render import MODULES, GatewayError
from aurum.settings import Settings

LOOK_UP_EVERY = 5.0  # seconds
# nginx's error log quotes requests: we remove queries, referrers and our keys from it, and escape
# control characters, with which a client could forge log lines.
_REDACTIONS: tuple[tuple[re.Pattern[bytes], bytes | Callable[[re.Match[bytes]], bytes]], ...] = (
    (re.compile(rb"\?[^\s\"]*"), b"?..."),
    (re.compile(rb'referrer: "[^"]*"'), b'referrer: "..."'),
    (re.compile(rb"aurum_[A-Za-z0-9_-]{40,}"), b"aurum_..."),
    (re.compile(rb"[^\x20-\x7e\n]"), lambda found: b"\\x%02x" % found[0][0]),
)


def installed() -> bool:
    """Return whether nginx and its njs module are installed."""
    return _program() is not None and (MODULES / "ngx_http_js_module.so").is_file()


def _program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def command(settings: Settings, behind: render.Addresses | None = None) -> list[str]:
    """nginx's command line, with its configuration written and checked; `behind` as in render.

    Raises GatewayError.
    """
    if not installed():
        raise GatewayError(
            "nginx or its njs module is missing; on Debian or Ubuntu: "
            "apt-get install nginx libnginx-mod-http-js"
        )
    path = render.write(settings, behind)
    warn(certificate.date_problem(settings))
    keys.read(settings.gateway_keys)  # raises for a bad line, which nginx would silently ignore
    line = [str(_program()), "-p", str(settings.gateway_folder), "-c", str(path)]
    check = subprocess.run([*line, "-t"], capture_output=True, text=True, check=False)
    if check.returncode:
        raise GatewayError(f"nginx rejects its configuration:\n{check.stderr}")
    return line


def warn(message: str) -> None:
    """Print a warning to stderr; nothing if the message is empty."""
    if message:
        print(f"aurum.gateway: {message}", file=sys.stderr, flush=True)


def start(line: list[str], log: BinaryIO) -> tuple[subprocess.Popen[bytes], threading.Thread]:
    """Start nginx, and a thread that copies its errors to `log` without secrets until it ends."""
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def copy() -> None:
        assert process.stderr is not None
        for text in process.stderr:
            log.write(without_secrets(text))
            log.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return process, thread


def without_secrets(text: bytes) -> bytes:
    """Redact a line of nginx's error log: no parts that may hold a key, printable ASCII only."""
    for pattern, instead in _REDACTIONS:
        text = pattern.sub(instead, text)
    return text


def serve(settings: Settings) -> int:
    """Run nginx in the foreground until it ends; return its exit status.

    SIGTERM, SIGINT and SIGQUIT finish what is in flight, SIGHUP is :func:`reload`. Names of servers
    are looked up every few seconds, since nginx itself does so only when it reads its
    configuration. Names that can't be resolved yet don't keep it from starting.
    """
    stopping, changed = threading.Event(), threading.Event()
    lookup = render.Lookup(warn)
    behind = render.servers(settings, lookup)
    process, errors = start(command(settings, behind), sys.stderr.buffer)

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        process.send_signal(signal.SIGQUIT)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda number, frame: changed.set())

    def pause() -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_UP_EVERY)
        return stopping.is_set() or process.poll() is not None

    follow(settings, pause, changed, lookup, behind)
    status = process.wait()
    errors.join()
    return status


def follow(
    settings: Settings,
    pause: Callable[[], bool],
    changed: threading.Event,
    lookup: render.Lookup,
    last: render.Addresses,
) -> None:
    """Reload the running gateway when its servers' names lead elsewhere, or when told `changed`.

    `pause` waits a little, and says whether that was the end. `last` are the servers it runs with.
    """
    while not pause():
        try:
            now = render.servers(settings, lookup)
            if now != last or changed.is_set():
                reload(settings, now)
                last = now
                changed.clear()
        except GatewayError as error:  # nginx keeps running with its old configuration
            warn(str(error))


def reload(settings: Settings, behind: render.Addresses | None = None) -> None:
    """Have the running gateway read settings and certificate anew; what is in flight ends as it
    began. `behind` as in render.

    Raises GatewayError.
    """
    command(settings, behind)
    file = settings.gateway_folder / "nginx.pid"
    try:
        os.kill(int(file.read_text()), signal.SIGHUP)
    except (FileNotFoundError, ValueError, ProcessLookupError) as error:  # nginx -t leaves it empty
        raise GatewayError(f"no gateway is running in {settings.gateway_folder}") from error
