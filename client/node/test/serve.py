"""A tritonserver of its own for the Node tests, which tell it what to do on stdin.

It prints one line of JSON when it is ready, and one after each command: `kill` (SIGKILL to
tritonserver and its children), `stop` and `cont` (SIGSTOP, SIGCONT), `start` (again, on the same
ports), `analyze PATH` (what the Python client says of a photo). It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from aurum_client import Analysis, FaceClient

from aurum.server.private import running
from aurum.server.server import Server
from aurum.settings import Settings


def main() -> None:
    """Serve the profile that the first argument names (default: the best)."""
    profile = sys.argv[1] if len(sys.argv) > 1 else Settings.from_env().profile
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aurum-node-")))
        settings = replace(Settings.from_env(), profile=profile)
        service = stack.enter_context(running(settings, folder))
        server = service.server
        facts = {
            "url": service.urls[0],
            "models": str(folder / "model_repository"),
            "simulated": service.prepared.simulated,
        }
        say(facts)
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "start":
                server = stack.enter_context(Server(service.settings))
                server.wait_ready()
                say({})
            elif command == "analyze":
                with FaceClient(service.urls[0], timeout=60) as client:
                    say(as_json(client.analyze(argument)))
            else:
                name = {"kill": "SIGKILL", "stop": "SIGSTOP", "cont": "SIGCONT"}[command]
                os.killpg(server.pid, getattr(signal, name))
                say({})


def say(answer: dict[str, Any]) -> None:
    """Print one line that the tests wait for."""
    print(json.dumps(answer), flush=True)


def as_json(answer: Analysis) -> dict[str, Any]:
    """An answer of the Python client, under the names that the Node client gives them."""
    return {
        "boxes": answer.boxes.ravel().tolist(),
        "landmarks": answer.landmarks.ravel().tolist(),
        "scores": answer.scores.tolist(),
        "embeddings": answer.embeddings.ravel().tolist(),
        "imageSize": list(answer.image_size),
        "models": {"detector": answer.models.detector, "embedder": answer.models.embedder},
    }


if __name__ == "__main__":
    main()
