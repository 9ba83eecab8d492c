"""Helpers for rollout tests: a server with a rollout, and clients that send without a pause."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import httpx
from aurum_client import AurumError, FaceClient

from aurum.paths import PHOTO
from aurum.releases.state import Check, Store, Validation
from aurum.rollout.steps import Rollout
from aurum.server import served_copy
from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server
from aurum.settings import Settings


class World:
    """A server, the rollout over its repositories, and a second pair of models."""

    def __init__(self, folder: Path, profile: str) -> None:
        settings = replace(Settings.from_env(), profile=profile, drain_timeout=2)
        self.settings, self.old = prepare_repositories(settings, folder / "repositories")
        self.store = Store(self.settings.rollout)
        self.rollout = Rollout(self.settings, "a test", lambda line: None)
        self.server = self.start()

    def start(self) -> Server:
        self.server = Server(self.settings)
        self.server.start()
        self.server.wait_ready()
        return self.server

    def restart(self) -> None:
        self.server.stop()
        self.start()

    def answer(self, **options):
        with FaceClient(self.settings.grpc_url, timeout=30, retries=0) as client:
            return client.analyze(PHOTO.read_bytes(), **options)

    def ids(self) -> tuple[str, str]:
        models = self.answer().models
        return models.detector, models.embedder

    def loaded(self) -> list[int]:
        """Versions of the embedder that are ready."""
        url = f"{self.settings.http_url}/v2/models/face_embedding/versions"
        return [
            n for n in range(1, 12) if httpx.get(f"{url}/{n}/ready", timeout=5).status_code == 200
        ]

    def reset(self) -> None:
        """Reset to a server that has seen no rollout."""
        (self.settings.rollout / "state.json").unlink(missing_ok=True)
        if 1 not in self.loaded():
            self.restart()
        for server in served_copy.servers(self.settings):
            server.keep(self.rollout._currently_served())
        while self.loaded() != [1]:
            time.sleep(0.1)

    def mark_validated(self):
        """Mark the candidate as validated without validating it."""
        state = self.store.load()
        found = Validation("now", "a test", (Check("nothing", True, ""),))
        self.store.save(replace(state, candidate=replace(state.candidate, validation=found)))


class Load:
    """Clients that send without a pause over both protocols; collects answers and errors."""

    def __init__(self, settings: Settings, **options) -> None:
        self.answers: dict[tuple[str, str], list] = defaultdict(list)
        self.errors: list[AurumError] = []
        self._options = options
        self._stop = threading.Event()
        urls = [settings.grpc_url, settings.http_url, settings.grpc_url]
        self._threads = [threading.Thread(target=self._ask, args=[url]) for url in urls]

    def _ask(self, url: str) -> None:
        photo = PHOTO.read_bytes()
        with FaceClient(url, timeout=60, retries=0) as client:
            while not self._stop.is_set():
                try:
                    answer = client.analyze(photo, **self._options)
                    models = (answer.models.detector, answer.models.embedder)
                    self.answers[models].append(answer)
                except AurumError as error:
                    self.errors.append(error)

    def more(self, count: int = 10) -> None:
        """Wait for more answers."""
        wanted = self.total + count
        while self.total < wanted and not self.errors:
            time.sleep(0.02)

    @property
    def total(self) -> int:
        return sum(map(len, list(self.answers.values())))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()
