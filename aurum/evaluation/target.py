"""The service under evaluation: a running one, or a throwaway server on free loopback ports."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aurum_client import FaceClient

import aurum
from aurum import contract
from aurum.evaluation import ValidationError
from aurum.server import ephemeral
from aurum.settings import Settings

TIMEOUT = 120.0  # seconds for one photo; speed is not evaluated here
FIRST_TIMEOUT = 20.0  # seconds for the models' names, after which nobody is there


@dataclass(frozen=True)
class Target:
    """A running service. `identity` changes whenever its answers could change."""

    urls: tuple[str, ...]
    detector: str
    embedder: str
    identity: str
    settings: Settings

    def client(self, index: int = 0) -> FaceClient:
        """Create a client of the service's `index`-th address."""
        return FaceClient(self.urls[index], timeout=TIMEOUT)

    def thresholds(self, photo: bytes) -> dict[float, float]:
        """Return the service's thresholds by FAR, which it sends with the embedding of a photo.

        Raises ValidationError if the embedder is not calibrated.
        """
        with self.client() as client:
            known = client.embed(photo).calibration
        if known is None:
            raise ValidationError(f"the embedder {self.embedder} is not calibrated")
        return dict(known.thresholds)


@contextmanager
def serving(urls: Sequence[str], settings: Settings) -> Iterator[Target]:
    """Use the service at `urls`; without any, start the settings' profile on a throwaway server.

    Raises ValidationError for simulated models, whose accuracy is meaningless.
    """
    if urls:
        yield _target(tuple(urls), settings, "")
        return
    with (
        tempfile.TemporaryDirectory(prefix="aurum-") as folder,
        ephemeral.running(settings, Path(folder)) as service,
    ):
        yield _target(service.urls, service.settings, _pipeline(settings))


def _target(urls: tuple[str, ...], settings: Settings, pipeline: str) -> Target:
    with FaceClient(urls[0], timeout=FIRST_TIMEOUT) as client:
        ids = {model.name: model.id for model in client.models()}
    detector, embedder = ids.get(contract.DETECTION), ids.get(contract.EMBEDDING)
    if not detector or not embedder:
        raise ValidationError(f"{urls[0]}: the service does not report its models")
    for name in (detector, embedder):
        if name.startswith("simulated"):
            raise ValidationError(f"{urls[0]}: {name} makes up its answers, so has no accuracy")
    return Target(urls, detector, embedder, f"{detector} {embedder} {pipeline}".strip(), settings)


def _pipeline(settings: Settings) -> str:
    """Return a digest of the code and options around the models of our own server."""
    digest = hashlib.sha256()
    package = Path(aurum.__file__).parent
    for pattern in ("imaging/**/*.py", "quality/*.*", "pipeline/*.py"):
        for source in sorted(package.glob(pattern)):
            digest.update(source.read_bytes())
    options = (settings.detection_size, settings.min_confidence, settings.nms_iou)
    digest.update(repr(options).encode())
    return digest.hexdigest()[:12]
