"""The container's own metrics of its processes."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from dataclasses import replace

import psutil
import pytest

from aurum.server.ephemeral import free_ports
from aurum.server.process_metrics import exposition, serving
from aurum.server.stubs import Stubs
from aurum.settings import Settings


@pytest.fixture
def parent():
    """A process in tritonserver's place, with a child in a step's."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        while not psutil.Process(process.pid).children():
            assert process.poll() is None
        yield process.pid
        process.stdin.write(b"\n")


def test_memory_and_cpu_time_have_the_names_of_process_exporter(parent):
    lines = dict(line.rsplit(" ", 1) for line in exposition(parent, Stubs(parent)).splitlines())
    memory = 'namedprocess_namegroup_memory_bytes{groupname="%s",memtype="proportionalResident"}'
    for name in ("tritonserver", "stub a step"):
        assert lines[f'namedprocess_namegroup_num_procs{{groupname="{name}"}}'] == "1"
        assert lines[f'namedprocess_namegroup_states{{groupname="{name}",state="Zombie"}}'] == "0"
        assert float(lines[memory % name]) > 1e6
    start = 'namedprocess_namegroup_oldest_start_time_seconds{groupname="tritonserver"}'
    assert float(lines[start]) == pytest.approx(psutil.Process(parent).create_time(), abs=0.01)


def test_they_are_served_only_where_a_port_is_set(parent):
    (port,) = free_ports(1)
    settings = replace(Settings(), process_metrics_port=port)
    with (
        serving(settings, parent, Stubs(parent)),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert "namedprocess_namegroup_num_procs" in answer.read().decode()
    with serving(Settings(), parent, Stubs(parent)):
        pass
