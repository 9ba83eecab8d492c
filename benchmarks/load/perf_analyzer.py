"""NVIDIA's perf_analyzer 2.51, from the wheel of tritonclient, against a running server.

perf_analyzer 2.51 has request parameters over gRPC alone: HTTP has no `embed_face_aligned`.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aurum.errors import OperatorError
from aurum.server.runtime import tritonserver_home
from benchmarks.load.inputs import Workload
from benchmarks.load.outcome import Load

# Seconds after which a run is given up.
TIMEOUT = 600
# Linked by perf_analyzer under these names; nvidia-pytriton has them with a hash in the name.
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}


class PerfAnalyzerError(OperatorError, RuntimeError):
    """perf_analyzer failed or did not get a stable measurement; the message has its last lines."""


@dataclass(frozen=True)
class Plan:
    """How long a measurement is, and when it is stable.

    It is over when the last three windows agree; perf_analyzer fails if that takes more than
    `trials` windows.
    """

    requests: int = 200  # in a window, at least; 0: windows of `seconds` instead
    seconds: float = 5.0
    stability: int = 15  # percent by which the three may differ in throughput and latency
    trials: int = 10

    def flags(self) -> list[str]:
        """The plan as perf_analyzer's flags."""
        if self.requests:
            window = [
                "--measurement-mode=count_windows",
                f"--measurement-request-count={self.requests}",
            ]
        else:
            window = [
                "--measurement-mode=time_windows",
                f"--measurement-interval={round(self.seconds * 1000)}",
            ]
        return [*window, f"--stability-percentage={self.stability}", f"--max-trials={self.trials}"]


def steady(seconds: float) -> Plan:
    """A plan that takes `seconds` and is never unstable: noise shows in the rounds instead."""
    return Plan(requests=0, seconds=seconds / 3, stability=10_000)


# Shows that everything works in a second or two; its numbers mean nothing.
SMOKE = steady(1.5)


@dataclass(frozen=True)
class Step:
    """Mean server times of one model within a pipeline, in microseconds a request."""

    model: str
    queue_us: int
    input_us: int
    infer_us: int
    output_us: int


@dataclass(frozen=True)
class Result:
    """What perf_analyzer measured at one concurrency; times in µs are means a request.

    The pipelines' steps answer after `execute` has returned, so that the server times of a
    pipeline are those of `steps`, and its own hold little more than the hand-over.
    """

    concurrency: int
    requests: int  # that were measured
    throughput: float  # inferences a second
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    client_send_us: int
    network_us: int  # and whatever the server did outside of queue and compute
    queue_us: int
    input_us: int
    infer_us: int
    output_us: int
    client_recv_us: int
    steps: tuple[Step, ...] = ()

    @property
    def load(self) -> Load:
        """In the terms of all load tools. perf_analyzer ends at the first failure."""
        return Load(self.requests, 0, self.throughput, self.p50_ms, self.p95_ms, self.p99_ms)


def protocol_of(url: str) -> str:
    """`http` or `grpc`. Raises PerfAnalyzerError for another address."""
    protocol = url.partition("://")[0]
    if protocol not in ("http", "grpc"):
        raise PerfAnalyzerError(f"{url}: the address must begin with http:// or grpc://")
    return protocol


def run(url: str, workload: Workload, concurrency: int, folder: Path, plan: Plan) -> Result:
    """Measure `workload` with `concurrency` requests in flight.

    perf_analyzer's CSV and its output stay in `folder`, named after the run.

    Raises:
        PerfAnalyzerError: it failed, a request failed, or no measurement was stable.
    """
    protocol = protocol_of(url)
    base = folder / f"{workload.name}-{protocol}-{concurrency}"
    report, log = base.with_suffix(".csv"), base.with_suffix(".txt")
    flags = [
        f"-m{workload.model}",
        f"-i{protocol}",
        f"-u{url.partition('://')[2]}",
        f"--input-data={workload.data}",
        # With an end, each request in flight has a thread of its own; without it 16 have to do.
        f"--concurrency-range={concurrency}:{concurrency}",
        *plan.flags(),
        *(f"--request-parameter={parameter}" for parameter in workload.parameters),
        *([f"--bls-composing-models={','.join(workload.calls)}"] if workload.calls else []),
        f"-f{report}",
        "--verbose-csv",
    ]
    report.unlink(missing_ok=True)
    with _environment() as environment, log.open("w") as output:
        program = str(Path(sys.executable).parent / "perf_analyzer")
        try:
            code = subprocess.run(
                [program, *flags],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            ).returncode
        except FileNotFoundError:
            raise PerfAnalyzerError(f"{program} is missing; run `make setup`") from None
        except subprocess.TimeoutExpired:
            raise PerfAnalyzerError(f"no result within {TIMEOUT} s:\n{_end(log)}") from None
    if code or not report.is_file():
        raise PerfAnalyzerError(f"perf_analyzer ended with {code}:\n{_end(log)}")
    return parse(report.read_text(), log.read_text())


def parse(report: str, log: str) -> Result:
    """Read perf_analyzer's verbose CSV of one concurrency, and the steps from its output.

    Raises PerfAnalyzerError if the CSV is not such a one.
    """
    rows = list(csv.DictReader(report.splitlines()))
    if len(rows) != 1:
        raise PerfAnalyzerError(f"perf_analyzer's CSV has {len(rows)} results, not one:\n{report}")
    row = rows[0]
    try:
        return Result(
            concurrency=int(row["Concurrency"]),
            requests=int(_COUNT.findall(log)[-1]),
            throughput=float(row["Inferences/Second"]),
            p50_ms=int(row["p50 latency"]) / 1000,
            p90_ms=int(row["p90 latency"]) / 1000,
            p95_ms=int(row["p95 latency"]) / 1000,
            p99_ms=int(row["p99 latency"]) / 1000,
            client_send_us=int(row["Client Send"]),
            network_us=int(row["Network+Server Send/Recv"]),
            queue_us=int(row["Server Queue"]),
            input_us=int(row["Server Compute Input"]),
            infer_us=int(row["Server Compute Infer"]),
            output_us=int(row["Server Compute Output"]),
            client_recv_us=int(row["Client Recv"]),
            steps=parse_steps(log),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise PerfAnalyzerError(f"perf_analyzer's CSV lacks or breaks {error}:\n{report}") from None


_COUNT = re.compile(r"^    Request count: (\d+)$", re.MULTILINE)
_STEP = re.compile(
    r"^  (?P<model>\w+), version: .*\n(?:^ {6}.*\n)*?"
    r"^ {6}Avg request latency: .*?queue (?P<queue>\d+) usec \+ compute input (?P<input>\d+) usec "
    r"\+ compute infer (?P<infer>\d+) usec \+ compute output (?P<output>\d+) usec",
    re.MULTILINE,
)


def parse_steps(log: str) -> tuple[Step, ...]:
    """Read the server times of the models within a pipeline from perf_analyzer's output."""
    return tuple(
        Step(match["model"], *(int(match[key]) for key in ("queue", "input", "infer", "output")))
        for match in _STEP.finditer(log)
    )


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """This process's environment, with the two libraries that perf_analyzer needs."""
    libraries = tritonserver_home().parent.parent / "nvidia_pytriton.libs"
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        for name, pattern in _LIBRARIES.items():
            found = sorted(libraries.glob(pattern))
            if not found:
                raise PerfAnalyzerError(f"{libraries} has no {pattern}; run `make setup`")
            (Path(folder) / name).symlink_to(found[0])
        inherited = os.environ.get("LD_LIBRARY_PATH")
        paths = os.pathsep.join([folder, inherited] if inherited else [folder])
        yield {**os.environ, "LD_LIBRARY_PATH": paths}


def _end(log: Path, lines: int = 8) -> str:
    text = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(line[:600] for line in text[-lines:]) + f"\n(log: {log})"
