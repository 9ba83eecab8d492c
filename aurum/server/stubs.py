"""Detect which Python processes of a tritonserver ("stubs") have died.

Triton 2.51 does not restart or reap a dead stub, and still reports that it is ready. Requests that
a dead process was working on are never answered.
"""

from __future__ import annotations

from pathlib import Path

import psutil

POLL_INTERVAL = 0.2  # seconds
# Consecutive polls after which a zombie counts as dead: Triton ends processes itself when it loads
# and unloads models, and may take a moment to reap them on a busy machine.
CONFIRMATIONS = 4
RESCUE_TIMEOUT = 1.0  # seconds in which the other processes may finish when one is dead


class Stubs:
    """Watches the child processes of the tritonserver `pid`."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self._names: dict[int, str] = {}
        self._suspects: dict[int, int] = {}  # consecutive polls that found a process dead, by pid

    def dead(self) -> list[str]:
        """List the steps whose process is dead. Call this every POLL_INTERVAL seconds."""
        zombies = []
        for child in self._children():
            try:
                if child.status() == psutil.STATUS_ZOMBIE:
                    zombies.append(child.pid)
                elif child.pid not in self._names and (model := _model(child.cmdline())):
                    self._names[child.pid] = model
            except psutil.NoSuchProcess:
                continue  # reaped in the meantime
        self._suspects = {pid: self._suspects.get(pid, 0) + 1 for pid in zombies}
        dead = [pid for pid, polls in self._suspects.items() if polls >= CONFIRMATIONS]
        return [self.name(pid) for pid in dead]

    def name(self, pid: int) -> str:
        """Return the step that a process runs, if known."""
        return self._names.get(pid, "a step")

    def _children(self) -> list[psutil.Process]:
        try:
            children: list[psutil.Process] = self._server.children()
        except psutil.NoSuchProcess:
            return []  # the server itself has ended
        return children


def _model(command: list[str]) -> str:
    """Return the step that a stub runs; empty if the process is not (yet) a stub.

    A stub's first argument is <repository>/<model>/<version>/<file>.
    """
    if len(command) < 2 or not command[0].endswith("triton_python_backend_stub"):
        return ""
    return Path(command[1]).parent.parent.name
