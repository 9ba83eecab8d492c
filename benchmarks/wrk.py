"""Closed-loop HTTP load by wrk (Debian: wrk), which itself costs next to no CPU."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# wrk hands its figures to done(); percentiles are in microseconds.
_SCRIPT = """
wrk.method = "POST"
local file = io.open("%(body)s", "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["Inference-Header-Content-Length"] = "0"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%%d,"seconds":%%f,"p50":%%f,"p95":%%f,"p99":%%f,"failures":%%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What a run of wrk measured; times in milliseconds."""

    clients: int
    rate: float  # answers a second
    p50: float
    p95: float
    p99: float
    failures: int  # answers that were no success, and connections that broke


def post(url: str, photo: Path, clients: int, seconds: float, folder: Path) -> Load:
    """Post `photo` as the raw body from `clients` connections, each sending after each answer.

    The body and headers are those of Triton's raw binary request; other servers ignore the headers.
    Raises RuntimeError where wrk is missing or fails.
    """
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is missing; on Debian or Ubuntu: apt-get install wrk")
    script = folder / "post.lua"
    script.write_text(_SCRIPT % {"body": photo})
    command = [program, "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout=60s"]
    result = subprocess.run(
        [*command, "--latency", f"--script={script}", url],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    if result.returncode or not lines:
        raise RuntimeError(f"wrk failed: {result.stderr or result.stdout}")
    told = json.loads(lines[0].removeprefix("RESULT "))
    rate = told["requests"] / told["seconds"]
    return Load(clients, rate, told["p50"], told["p95"], told["p99"], told["failures"])
