"""The Python processes of a tritonserver ("stubs"): which of them have died.

Triton 2.51 starts no new one, does not bury the dead one, and goes on calling itself ready. What a
dead step was working on is never answered.
"""

from __future__ import annotations

from pathlib import Path

import psutil

POLL_INTERVAL = 0.2  # seconds between two looks
# A process is dead when so many looks in a row find it so: Triton ends processes itself when it
# loads and unloads models, and may take a moment to bury them on a busy machine.
CONFIRMATIONS = 4
RESCUE_TIMEOUT = 1.0  # seconds for what living processes still can answer when another is dead


class Stubs:
    """Looks at the children of the tritonserver `pid`."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self._names: dict[int, str] = {}
        self._suspects: dict[int, int] = {}  # how many looks in a row found it dead

    def dead(self) -> list[str]:
        """Steps whose process is dead for certain. To be asked every POLL_INTERVAL seconds."""
        zombies = []
        for child in self._children():
            try:
                if child.status() == psutil.STATUS_ZOMBIE:
                    zombies.append(child.pid)
                elif child.pid not in self._names and (model := _model(child.cmdline())):
                    self._names[child.pid] = model
            except psutil.NoSuchProcess:
                continue  # buried meanwhile; of a zombie, the next look tells
        self._suspects = {pid: self._suspects.get(pid, 0) + 1 for pid in zombies}
        certain = [pid for pid, looks in self._suspects.items() if looks >= CONFIRMATIONS]
        return [self.name(pid) for pid in certain]

    def name(self, pid: int) -> str:
        """The step that a process runs, as far as it was seen."""
        return self._names.get(pid, "a step")

    def _children(self) -> list[psutil.Process]:
        try:
            children: list[psutil.Process] = self._server.children()
        except psutil.NoSuchProcess:
            return []  # the server itself has ended
        return children


def _model(command: list[str]) -> str:
    """The step that a stub runs; nothing for a process that is none, or not yet.

    A stub's first argument is <repository>/<model>/<version>/<file>.
    """
    if len(command) < 2 or not command[0].endswith("triton_python_backend_stub"):
        return ""
    return Path(command[1]).parent.parent.name
