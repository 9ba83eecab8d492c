"""Closed-loop HTTP load by wrk (Debian: wrk), which itself uses almost no CPU."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tritonclient.http as triton
from numpy.typing import NDArray

from aurum.errors import OperatorError
from benchmarks.load.outcome import Load

# wrk passes its figures to done(); percentiles are in microseconds.
_SCRIPT = """
local ports, threads = { %(ports)s }, 0
setup = function(thread)
  threads = threads + 1
  thread.addr = wrk.lookup(wrk.host, ports[threads])[1]
end
wrk.method = "POST"
local file = io.open("%(body)s", "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["Inference-Header-Content-Length"] = "%(header)d"
%(headers)s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%%d,"seconds":%%f,"p50":%%f,"p95":%%f,"p99":%%f,"reasons":{' ..
    '"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


TIMEOUT = 60  # seconds that an answer may take
_NONE: Mapping[str, str] = {}


class WrkError(OperatorError, RuntimeError):
    """wrk is missing, or it failed."""


@dataclass(frozen=True)
class Body:
    """The body of a request to Triton: `header` bytes of JSON, then the raw tensors.

    Without JSON the body is a single tensor; for a BYTES input that is the photo itself.
    """

    data: bytes
    header: int = 0


def body(
    tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, object] | None = None
) -> Body:
    """Create the body of a request with these inputs and a binary answer."""
    inputs = []
    for name, value in tensors.items():
        kind = "BYTES" if value.dtype == np.object_ else "UINT8"
        inputs.append(triton.InferInput(name, list(value.shape), kind))
        inputs[-1].set_data_from_numpy(value)
    data, header = triton.InferenceServerClient.generate_request_body(
        inputs, parameters=dict(parameters) if parameters else None
    )
    return Body(data, header)


def post(
    url: str, body: Body, clients: int, seconds: int, headers: Mapping[str, str] = _NONE
) -> Load:
    """Post `body` from `clients` connections, each of which sends again after each answer.

    It sends Triton's headers, which other servers ignore, and `headers`. wrk needs whole `seconds`
    and does not verify certificates. Without any answer or error in that time, as on a busy
    machine, it measures again for twice as long. Raises WrkError.
    """
    return spread([url], body, clients, seconds, headers)


def spread(
    urls: Sequence[str],
    body: Body,
    clients: int,
    seconds: int,
    headers: Mapping[str, str] = _NONE,
) -> Load:
    """Like `post`, with the connections distributed evenly over `urls`, which differ in their port.

    `clients` must be a multiple of the number of URLs; if there are fewer, only the first are used.
    """
    chosen = urls[:clients]
    program = shutil.which("wrk")
    if program is None:
        raise WrkError("wrk is missing; on Debian or Ubuntu: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="aurum-wrk-") as folder:
        data, script = Path(folder) / "body", Path(folder) / "post.lua"
        data.write_bytes(body.data)
        ports = ", ".join(f'"{urlsplit(url).port or 80}"' for url in chosen)
        more = "\n".join(f'wrk.headers["{name}"] = "{text}"' for name, text in headers.items())
        values = {"body": data, "header": body.header, "headers": more, "ports": ports}
        script.write_text(_SCRIPT % values)
        # wrk gives each thread the same number of connections, the script gives each its port.
        command = [program, f"-t{len(chosen)}", f"-c{clients}", f"--timeout={TIMEOUT}s"]
        command += ["--latency", f"--script={script}"]
        load = _run([*command, f"-d{seconds}s", chosen[0]])
        while not load.requests and not load.failures and seconds < TIMEOUT:
            seconds *= 2
            load = _run([*command, f"-d{seconds}s", chosen[0]])
    if not load.requests and not load.failures:
        raise WrkError(f"{chosen[0]} does not answer within {seconds} s")
    return load


def _run(command: Sequence[str]) -> Load:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    if result.returncode or not lines:
        raise WrkError(f"wrk failed: {' '.join((result.stderr or result.stdout).split())}")
    return _load(json.loads(lines[0].removeprefix("RESULT ")))


def _load(result: Mapping[str, Any]) -> Load:
    requests = result["requests"]
    reasons = {name: count for name, count in result["reasons"].items() if count}
    p50, p95, p99 = (result[name] if requests else math.nan for name in ("p50", "p95", "p99"))
    rate = requests / result["seconds"]
    return Load(requests, sum(reasons.values()), rate, p50, p95, p99, reasons)
