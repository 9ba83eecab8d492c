"""What we use of Triton releases that are newer than the embedded one.

``python3 -m aurum.server.triton_version FOLDER`` adds to the model configurations below FOLDER what
the image's Triton has and the embedded one would refuse (Dockerfile). None of it was run: NVIDIA's
images can't be pulled where this was written (docs/guides/deployment.md).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from aurum.contract import MAX_QUEUED

Version = tuple[int, int]

EMBEDDED: Version = (2, 51)  # of the wheel nvidia-pytriton; release 24.10
# The first versions that have, in the words of their release notes:
INPUT_LIMIT: Version = (2, 59)  # 25.06: --http-max-input-size, 64 MiB unless it is set
HISTOGRAMS: Version = (2, 65)  # 26.01: latency histograms of models that are not decoupled
BOUNDED_QUEUES: Version = (2, 72)  # 26.08: the fix of the dynamic batcher's starvation

DEFAULT_INPUT_LIMIT = 64 << 20  # bytes; HTTP_DEFAULT_MAX_INPUT_SIZE in Triton's common.h
# Percentiles of the last minute, with the allowed error of each rank. They can't be added over
# servers, as histograms can.
SUMMARIES: tuple[str, ...] = (
    "--metrics-config=summary_latencies=true",
    "--metrics-config=summary_quantiles=0.5:0.02,0.95:0.005,0.99:0.001",
)
# Triton's own limits, 100 to 5,000 ms, are too coarse for a target of 100 ms.
BUCKETS = (5, 10, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2000, 5000)  # ms


def version() -> Version:
    """The version of NVIDIA's image that this runs in; the embedded one's elsewhere."""
    found = re.match(r"(\d+)\.(\d+)", os.environ.get("TRITON_SERVER_VERSION", ""))
    return (int(found[1]), int(found[2])) if found else EMBEDDED


def flags(version: Version, largest_body: int) -> list[str]:
    """The flags that depend on the version.

    Args:
        version: of the tritonserver to start.
        largest_body: of a request that is allowed, in bytes.
    """
    limit = max(largest_body, DEFAULT_INPUT_LIMIT)
    return [
        *([f"--http-max-input-size={limit}"] if version >= INPUT_LIMIT else []),
        *(["--metrics-config=histogram_latencies=true"] if version >= HISTOGRAMS else SUMMARIES),
    ]


def additions(version: Version, step: bool) -> str:
    """Text to append to the model configuration of a pipeline (an ensemble), or of its step.

    The step's queue is bounded where a bound makes no requests stall (docs/design/failures.md). An
    ensemble's `max_inflight_requests` (26.04) would not do: it makes callers wait, in the threads
    that receive requests, where a full queue refuses them at once.
    """
    text = ""
    if version >= HISTOGRAMS:
        limits = ", ".join(map(str, BUCKETS))
        text += (
            "model_metrics { metric_control: [ {\n"
            '  metric_identifier: { family: "nv_inference_first_response_histogram_ms" }\n'
            f"  histogram_options: {{ buckets: [ {limits} ] }}\n"
            "} ] }\n"
        )
    if version >= BOUNDED_QUEUES and step:
        text += f"dynamic_batching {{ default_queue_policy {{ max_queue_size: {MAX_QUEUED} }} }}\n"
    return text


def main(folder: Path) -> None:
    """Append to the configurations of the pipelines and of their step in `folder`."""
    found = version()
    for repository in ("ensembles", "python_backends"):
        text = additions(found, step=repository == "python_backends")
        for path in sorted((folder / repository).glob("*/config.pbtxt")):
            path.write_text(path.read_text() + text)
    print(f"aurum: configured for Triton {found[0]}.{found[1]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
