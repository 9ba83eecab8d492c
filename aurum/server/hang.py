"""Detect a server that runs but hangs: stopped, deadlocked, or in an endless loop.

A busy server does not count as hung, however long its queue is: it computes, its processes send
heartbeats (aurum.telemetry.heartbeat), and no photo exceeds its limit of CPU time. Time is counted
in polls, so that a suspended machine is not mistaken for a hang.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from pathlib import Path

import psutil

from aurum.contract import STEP
from aurum.server.probe import Probe
from aurum.server.stubs import POLL_INTERVAL, Stubs
from aurum.settings import Settings
from aurum.telemetry import heartbeat

# Seconds without progress after which a part hangs.
PATIENCE = 6.0
# The same for the step while other processes work, which may keep it from running.
LONG_PATIENCE = 60.0
WINDOW = 3.0  # seconds over which CPU time is measured
IDLE = 0.05  # share of a core below which a process does no work and only polls for it
# CPU seconds beyond AURUM_MAX_PHOTO_SECONDS, at which the step itself stops a photo if it can.
MARGIN = 2.0


class Watchdog:
    """Watches a tritonserver that has answered, and the processes of its step."""

    def __init__(self, pid: int, folder: Path, settings: Settings, stubs: Stubs) -> None:
        self._server = psutil.Process(pid)
        self._folder = folder
        self._longest = settings.max_photo_seconds + MARGIN
        self._stubs = stubs
        self._probe = Probe(settings)
        self._unchanged = _Unchanged()
        self._idle = _Idle()
        self._polled = time.monotonic()

    def close(self) -> None:
        """Stop probing the server."""
        self._probe.close()

    def hung(self) -> str:
        """Say what hangs; empty if nothing does. Call this every POLL_INTERVAL seconds."""
        now = time.monotonic()
        passed = min(now - self._polled, 2 * POLL_INTERVAL)
        self._polled = now
        return self._pulseless(passed) or self._unanswered(passed)

    def _pulseless(self, passed: float) -> str:
        for pid, signs in heartbeat.read(self._folder).items():
            if signs.longest > self._longest:
                return f"the process of {self._stubs.name(pid)} hangs: a photo does not end"
            if self._unchanged.seconds(pid, signs.beats, passed) > PATIENCE:
                return f"the process of {self._stubs.name(pid)} hangs: it does not run"
        return ""

    def _unanswered(self, passed: float) -> str:
        answers = self._probe.answers
        seconds = self._unchanged.seconds(STEP, answers, passed)
        # Before the first answer, the server may still be loading models.
        if not answers or seconds < PATIENCE - WINDOW:
            self._idle.forget()
            return ""
        idle = self._idle.seconds(self._processes(), passed)
        if seconds > PATIENCE and idle and min(idle.values()) >= WINDOW:
            return f"tritonserver hangs: {STEP} does not answer, and nothing is computed"
        of_step = [idle[pid] for pid in idle if self._stubs.name(pid) == STEP]
        if seconds > LONG_PATIENCE and max(of_step, default=0.0) > LONG_PATIENCE / 2:
            return f"the process of {STEP} hangs: it neither answers nor computes"
        return ""

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._server, *self._server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class _Unchanged:
    """Measures for how long values have not changed."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[float, float]] = {}

    def seconds(self, key: Hashable, value: float, passed: float) -> float:
        before, seconds = self._values.get(key, (value, 0.0))
        seconds = seconds + passed if before == value else 0.0
        self._values[key] = value, seconds
        return seconds


class _Idle:
    """Measures for how long processes have used almost no CPU time, in whole windows."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._window = WINDOW  # so that the first poll begins a window
        self._spent: dict[int, float] = {}
        self._seconds: dict[int, float] = {}

    def seconds(self, processes: list[psutil.Process], passed: float) -> dict[int, float]:
        self._window += passed
        if self._window >= WINDOW:
            spent = {process.pid: _cpu(process) for process in processes}
            for pid, used in spent.items():
                idle = used - self._spent.get(pid, -self._window) < IDLE * self._window
                self._seconds[pid] = self._seconds.get(pid, 0.0) + self._window if idle else 0.0
            self._seconds = {pid: self._seconds[pid] for pid in spent}
            self._spent, self._window = spent, 0.0
        return self._seconds


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
