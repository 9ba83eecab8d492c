"""Run a throwaway tritonserver for the Node tests, controlled by commands on stdin.

It prints one line of JSON when it is ready, and one after each command:

- `start`: start again, on the same ports; one line when it was started, another when it is ready.
- `gateway`: start a gateway in front of it; its address, certificate authority and an API key.
- `access`: the request ids in the gateway's access log.
- `analyze PATH`: analyze a photo with the Python client.
- `load SECONDS CONCURRENCY PATH`: measure the Python client's throughput, in photos per second.

It stops when stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from aurum_client import Analysis, AsyncFaceClient, FaceClient

from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.common import gateways


def main() -> None:
    """Serve the profile named by the first argument (default: that of the settings)."""
    profile = sys.argv[1] if len(sys.argv) > 1 else Settings.from_env().profile
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-node-")))
        settings = replace(Settings.from_env(), profile=profile)
        service = stack.enter_context(running(settings, folder))
        server = service.server
        facts = {
            "url": service.urls[0],
            "grpc": service.urls[1].removeprefix("grpc://"),
            "models": str(folder / "model_repository"),
            "simulated": service.prepared.simulated,
            "pid": server.pid,
        }
        say(facts)
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "start":
                server.give_up()  # clean up after the killed process
                server.start()
                say({"pid": server.pid})
                server.wait_ready()
                say({})
            elif command == "gateway":
                settings = gateways.unlimited(service.settings)
                front = stack.enter_context(gateways.running([service.settings], settings))
                say({"url": front.gateway.url, "ca": str(front.ca), "key": front.key})
            elif command == "access":
                say([json.loads(line)["request_id"] for line in front.gateway.access()])
            elif command == "analyze":
                with FaceClient(service.urls[0], timeout=60) as client:
                    say(as_json(client.analyze(argument)))
            elif command == "load":
                seconds, concurrency, path = argument.split(" ", 2)
                load = photos_a_second(service.urls[0], float(seconds), int(concurrency), path)
                say({"rate": asyncio.run(load)})


async def photos_a_second(url: str, seconds: float, concurrency: int, path: str) -> float:
    """Measure the throughput of `concurrency` callers that send one request after the other."""
    photo = Path(path).read_bytes()
    async with AsyncFaceClient(url, timeout=60) as client:
        start = time.perf_counter()
        answered = 0

        async def call() -> None:
            nonlocal answered
            while time.perf_counter() - start < seconds:
                await client.analyze(photo)
                answered += 1

        await asyncio.gather(*(call() for _ in range(concurrency)))
        return answered / (time.perf_counter() - start)


def say(answer: dict[str, Any] | list[str]) -> None:
    """Print one line, which the tests wait for."""
    print(json.dumps(answer), flush=True)


def as_json(answer: Analysis) -> dict[str, Any]:
    """Convert an answer of the Python client to the Node client's names."""
    return {
        "boxes": answer.boxes.ravel().tolist(),
        "landmarks": answer.landmarks.ravel().tolist(),
        "scores": answer.scores.tolist(),
        "embeddings": answer.embeddings.ravel().tolist(),
        "quality": answer.quality.tolist(),
        "qualityParts": answer.quality_parts.ravel().tolist(),
        "gate": answer.gate.tolist(),
        "imageSize": list(answer.image_size),
        "models": {"detector": answer.models.detector, "embedder": answer.models.embedder},
    }


if __name__ == "__main__":
    main()
