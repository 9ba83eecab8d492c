"""`aurum bench perf_analyzer` is the real one, and the session in the docs works as pasted."""

import json
import os
import re
import signal
import subprocess
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import doc_blocks
import httpx
import pytest
from up_process import AURUM
from waiting import eventually

from aurum.paths import PHOTO

INPUT = Path("/tmp/aurum-photo.json")


@pytest.fixture
def ports(simulated):
    INPUT.unlink(missing_ok=True)
    yield {
        port: url.rpartition(":")[2]
        for port, url in zip(("8000", "8001"), simulated.urls, strict=True)
    }
    INPUT.unlink(missing_ok=True)


def test_the_session_in_the_docs_measures_over_both_protocols(ports):
    block = doc_blocks.named("docs/reference/command-line.md")["perf_analyzer"]

    shown = doc_blocks.run(block, ports=ports)

    assert [int(one) for one in re.findall(r"^Request concurrency: (\d+)", shown, re.M)] == [
        1,
        4,
        1,
    ]
    assert len(re.findall(r"^    Avg gRPC time: ", shown, re.MULTILINE)) == 2
    assert len(re.findall(r"^    Avg HTTP time: ", shown, re.MULTILINE)) == 1
    assert all(int(count) >= 50 for count in re.findall(r"^    Request count: (\d+)", shown, re.M))


def perf_analyzer(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return subprocess.run(
        [AURUM, "bench", "perf_analyzer", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("separator", [["--"], []])
def test_arguments_and_exit_status_are_perf_analyzers(separator):
    version = perf_analyzer(*separator, "--version")
    assert version.returncode == 0, version.stderr
    assert "Perf Analyzer Version 2.51" in version.stdout + version.stderr

    wrong = perf_analyzer(*separator, "-m", "analyze_faces", "-u", "127.0.0.1:9")
    assert wrong.returncode not in (0, 1, 70)
    assert "Traceback" not in wrong.stderr


def answered(url):
    """How many photos the pipeline has answered."""
    (stats,) = httpx.get(f"{url}/v2/models/analyze_faces/stats").json()["model_stats"]
    return int(stats["inference_count"])


def test_an_interruption_ends_perf_analyzer_and_nothing_else_complains(simulated, ports, tmp_path):
    """As Ctrl-C in a terminal: the signal goes to the whole process group."""
    INPUT.write_text(json.dumps({"data": [{"image": [b64encode(PHOTO.read_bytes()).decode()]}]}))
    before = answered(simulated.urls[0])
    with (tmp_path / "shown").open("w") as output:
        process = subprocess.Popen(
            [
                *(AURUM, "bench", "perf_analyzer", "--", "-m", "analyze_faces", "-i", "grpc"),
                *("-u", f"127.0.0.1:{ports['8001']}", "--input-data", INPUT),
                # Never stable, so it goes on.
                *("--measurement-interval", "1000", "--stability-percentage", "0"),
                *("--max-trials", "100000"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            eventually(lambda: answered(simulated.urls[0]) > before)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    shown = (tmp_path / "shown").read_text()
    assert "Traceback" not in shown
    assert "in-flight inferences" in shown  # perf_analyzer's own words
