"""Run NVIDIA's perf_analyzer 2.51, from tritonclient's wheel, against a running server.

It supports request parameters only over gRPC, so there is no `embed_face_aligned` over HTTP.
"""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from aurum.errors import OperatorError
from aurum.server.runtime import tritonserver_home
from benchmarks.common.rows import Sweep
from benchmarks.load.inputs import Workload
from benchmarks.load.outcome import Load, last_lines

TIMEOUT = 600  # seconds of one run
LONGEST = 20.0  # seconds of a window
# What it says if no request ended within a window, or none of a model that the step calls.
_EMPTY = re.compile("No valid requests recorded|failed to find the requested model version")
# perf_analyzer is linked with these names; nvidia-pytriton's files have a hash in the name.
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}


class PerfAnalyzerError(OperatorError, RuntimeError):
    """perf_analyzer failed, or was never stable; the message has its last lines of output."""


@dataclass(frozen=True)
class Plan:
    """Duration of a measurement, and the criterion of stability.

    A measurement ends when the last three windows agree; perf_analyzer fails if that takes more
    than `trials` windows.
    """

    requests: int = 200  # minimum in a window; 0: windows of `seconds` instead
    seconds: float = 5.0
    stability: int = 15  # percent by which the windows' throughput and latency may differ
    trials: int = 10

    def flags(self) -> list[str]:
        """Return the plan as perf_analyzer's flags."""
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
    """Return a plan that takes `seconds` and never fails as unstable; rounds show the noise."""
    return Plan(requests=0, seconds=seconds / 3, stability=10_000)


# Only checks that everything works, in a second or two; its figures are meaningless.
SMOKE = steady(1.5)


class Result(NamedTuple):
    """One measurement: the row of raw figures, and the number of measured requests.

    A pipeline's step answers after `execute` has returned, so the row's server times of a pipeline
    hold little more than the hand-over to the step.
    """

    row: Sweep
    requests: int

    @property
    def load(self) -> Load:
        """The result in the form that all load tools share; perf_analyzer ends at a failure."""
        p50, p95, p99 = (
            time / 1000 for time in (self.row.p50_us, self.row.p95_us, self.row.p99_us)
        )
        return Load(self.requests, 0, self.row.rate, p50, p95, p99)


def protocol_of(url: str) -> str:
    """Return `http` or `grpc`. Raises PerfAnalyzerError for another scheme."""
    protocol = url.partition("://")[0]
    if protocol not in ("http", "grpc"):
        raise PerfAnalyzerError(f"{url}: the address must begin with http:// or grpc://")
    return protocol


def run(url: str, workload: Workload, concurrency: int, folder: Path, plan: Plan) -> Result:
    """Measure `workload` with `concurrency` requests in flight.

    perf_analyzer's CSV and output are written to `folder`. If no request ends within a window, as
    on a busy machine, it measures again with windows of twice the length.

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
        # With an upper end, each request in flight has its own thread; without, there are only 16.
        f"--concurrency-range={concurrency}:{concurrency}",
        *(f"--request-parameter={parameter}" for parameter in workload.parameters),
        *([f"--bls-composing-models={','.join(workload.calls)}"] if workload.calls else []),
        f"-f{report}",
        "--verbose-csv",
    ]
    report.unlink(missing_ok=True)
    code = _measure([*flags, *plan.flags()], log)
    while code and plan.seconds < LONGEST and _EMPTY.search(log.read_text(errors="replace")):
        plan = replace(plan, seconds=2 * plan.seconds)
        code = _measure([*flags, *plan.flags()], log)
    if code or not report.is_file():
        raise PerfAnalyzerError(f"perf_analyzer ended with {code}:\n{last_lines(log)}")
    return parse(report.read_text(), log.read_text(), workload.name, protocol)


def _measure(flags: Sequence[str], log: Path) -> int:
    """Run perf_analyzer with its output in `log`; return its exit status."""
    with _environment() as environment, log.open("w") as output:
        try:
            return subprocess.run(
                [_program(), *flags],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise PerfAnalyzerError(f"no result within {TIMEOUT} s:\n{last_lines(log)}") from None


def parse(report: str, log: str, workload: str, protocol: str) -> Result:
    """Read perf_analyzer's verbose CSV of one concurrency, and the request count from its output.

    Raises PerfAnalyzerError if the CSV has another form.
    """
    rows = list(csv.DictReader(report.splitlines()))
    if len(rows) != 1:
        raise PerfAnalyzerError(f"perf_analyzer's CSV has {len(rows)} results, not one:\n{report}")
    try:
        clients, rate, *times = (rows[0][column] for column in _COLUMNS)
        row = Sweep(workload, protocol, int(clients), float(rate), *map(int, times))
        return Result(row, int(_COUNT.findall(log)[-1]))
    except (LookupError, TypeError, ValueError) as error:
        raise PerfAnalyzerError(f"perf_analyzer's CSV lacks or breaks {error}:\n{report}") from None


# In the order of Sweep's fields.
_COLUMNS = (
    *("Concurrency", "Inferences/Second", "Client Send", "Network+Server Send/Recv"),
    *("Server Queue", "Server Compute Input", "Server Compute Infer", "Server Compute Output"),
    *("Client Recv", "p50 latency", "p90 latency", "p95 latency", "p99 latency"),
    *("Avg latency", "request/response", "response wait"),
)
_COUNT = re.compile(r"^    Request count: (\d+)$", re.MULTILINE)


def main() -> int:
    """Run perf_analyzer with the arguments of the command line; return its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    with _environment() as environment:
        if arguments in ([], ["-h"], ["--help"]):
            return _help(environment)
        # A Ctrl-C goes to perf_analyzer, too, which then reports what it has measured.
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        command = [_program(), *arguments]
        status = subprocess.run(command, env=environment, check=False).returncode
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status  # as a shell reports a signal


def _help(environment: dict[str, str]) -> int:
    """Print perf_analyzer's list of options, which it prints as an error."""
    command = [_program(), "--help"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(f"{Path(sys.argv[0]).name} ARGUMENTS: run perf_analyzer, with its own arguments")
    print(shown.stderr.partition("\n")[2])
    return 0


def _program() -> str:
    program = Path(sys.executable).parent / "perf_analyzer"
    if not program.is_file():
        raise PerfAnalyzerError(f"{program} is missing; run `make setup`")
    return str(program)


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Yield this process's environment plus the two libraries that perf_analyzer needs."""
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
