"""The flags that tritonserver is started with."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import eventually

from aurum.kernels import Choice
from aurum.server import runtime
from aurum.settings import SettingError, Settings


def flags(settings):
    return runtime.command(settings, Path("/backends"), Choice("", reason="a test"))[1:]


def test_latency_percentiles_are_always_measured():
    assert "--metrics-config=summary_latencies=true" in flags(Settings())


@pytest.mark.parametrize(
    ("cores", "lanes"),
    [
        ({1, 0}, ["lane0,cpu-cores=0-0", "lane1,cpu-cores=1-1"]),
        ({4, 5, 6}, ["lane0,cpu-cores=4-4", "lane1,cpu-cores=5-6"]),
        ({0, 1, 8, 9}, ["lane0,cpu-cores=0-1", "lane1,cpu-cores=8-9"]),
        ({0, 2, 4, 6}, []),  # a range would include cores that aren't ours
        ({3}, []),
    ],
)
def test_each_process_of_a_step_gets_half_of_the_cores(cores, lanes):
    assert runtime.host_policies(cores) == [f"--host-policy={lane}" for lane in lanes]


def test_traces_are_off_unless_an_address_is_set():
    assert not [flag for flag in flags(Settings()) if "trace-config" in flag]
    traced = flags(replace(Settings(), trace_url="http://collector:4318/v1/traces", trace_rate=10))
    assert "--trace-config=mode=opentelemetry" in traced
    assert "--trace-config=rate=10" in traced
    assert "--trace-config=opentelemetry,url=http://collector:4318/v1/traces" in traced


def test_the_trace_address_is_validated():
    with pytest.raises(SettingError, match=r"AURUM_TRACE_URL='collector': .* http://"):
        Settings.from_env({"AURUM_TRACE_URL": "collector"})


def test_the_containers_server_gets_the_same_flags_and_environment(monkeypatch):
    common = runtime.flags(Settings(), Choice("", reason="a test"))
    own = [flag.partition("=")[0] for flag in flags(Settings())]
    assert own == ["--backend-directory", *(flag.partition("=")[0] for flag in common)]
    assert "--allow-gpu-metrics=false" in common
    assert "--allow-gpu-metrics=false" not in runtime.flags(Settings(), Choice(""), gpu=True)
    shared = runtime.process_environment(Settings())
    assert shared["MALLOC_ARENA_MAX"] == "2"
    assert {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS"} <= shared.keys()


def test_there_are_no_host_policies_where_memory_can_not_be_bound(monkeypatch):
    """As in a container with Docker's usual system calls, where Triton would load no model."""
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: {0, 1})
    assert [flag for flag in flags(Settings()) if "host-policy" in flag]
    monkeypatch.setattr(runtime, "may_bind_memory", lambda: False)
    assert not [flag for flag in flags(Settings()) if "host-policy" in flag]


STARTER = """
import subprocess, sys
from aurum.server.runtime import ended_with_parent
print(subprocess.Popen(ended_with_parent(["sleep", "600"])).pid, flush=True)
sys.stdin.read()
"""


def test_a_server_ends_with_the_process_that_started_it():
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        sleeper = int(starter.stdout.readline())
        name = Path(f"/proc/{sleeper}/comm")
        eventually(lambda: name.read_text().strip() == "sleep")
        starter.kill()
    eventually(lambda: not name.exists() or "Z" in Path(f"/proc/{sleeper}/stat").read_text())
