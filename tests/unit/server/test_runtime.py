"""The flags that tritonserver is started with."""

from dataclasses import replace
from pathlib import Path

import pytest

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
