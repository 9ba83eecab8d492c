"""`aurum up` in its own process; tests import the fixtures by name."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aurum.server.ephemeral import copy_repositories, on_free_ports
from aurum.settings import Settings

AURUM = Path(sys.executable).with_name("aurum")


@pytest.fixture
def settings(tmp_path):
    """The simulated profile on free ports, with its own copy of the repositories."""
    settings = replace(Settings.from_env(), profile="simulated", repositories=tmp_path)
    copy_repositories(tmp_path)
    return on_free_ports(settings)


class Up:
    """A running `aurum up` whose output is read as it arrives."""

    def __init__(self, settings: Settings, **environment: str) -> None:
        self.process = subprocess.Popen(
            # nohup(1), by which the tests may have been started, ignores it for all children.
            ["env", "--default-signal=HUP", AURUM, "up"],
            env={**os.environ, **settings.to_env(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        for _ in range(1200):
            if words in self.text:
                return
            assert self.process.poll() is None, self.text
            time.sleep(0.05)
        raise AssertionError(self.text)

    def end(self) -> int:
        code = self.process.wait(timeout=90)
        self._reader.join()
        self.process.stdout.close()
        return code


@pytest.fixture
def up(settings):
    started: list[Up] = []

    def start(changed: Settings = settings, **environment: str) -> Up:
        started.append(Up(changed, **environment))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.process.terminate()
        item.end()
