"""A fake client without a service, and a runner for the `aurum` command."""

import json

import numpy as np
from aurum_client import (
    Box,
    Calibration,
    Embedding,
    Face,
    Faces,
    Health,
    ModelIds,
    QualityParts,
)
from typer.testing import CliRunner

from aurum.cli.app import app

IDS = ModelIds("yunet@aaaaaaaaaaaa", "edgeface@bbbbbbbbbbbb")
CALIBRATION = Calibration.from_row([0.25, 0.5, 0.75, 20, -10, 0.5])
PARTS = QualityParts(*[0.25] * 16)
LANDMARKS = np.array([[30, 40], [50, 40], [40, 50], [32, 60], [48, 60]], np.float32)


def faces(count=1, image_size=(200, 100), rotation=0, complete=True):
    """Return `count` faces, all in the same place."""
    return Faces(
        np.array([[20, 30, 40, 45.5]] * count, np.float32),
        np.stack([LANDMARKS] * count),
        np.full(count, 0.9, np.float32),
        image_size,
        IDS,
        rotations=np.full(count, rotation, np.int32),
        complete=complete,
    )


def embedding(axis, models=IDS, **judged):
    """Return the embedding of a good face; `judged` overrides its quality fields."""
    vector = np.zeros(512, np.float32)
    vector[axis] = 1
    good = {"quality": 0.75, "quality_parts": PARTS, "recognizable": True}
    face = Face(Box(20.0, 30.0, 40.0, 45.5), LANDMARKS, 0.9, vector, **good | judged)
    return Embedding(vector, face, (200, 100), models, CALIBRATION)


class FakeClient:
    """A stand-in for `aurum_client.FaceClient` that looks up its answers by the photo's stem."""

    def __init__(self):
        self.errors = {}
        self.faces = {}
        self.embeddings = {}
        self.health_answer = Health(True, True, 0.01, IDS, None)
        self.asked = []
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def health(self, *, timeout):
        return self.health_answer

    def _ask(self, path, **options):
        self.asked.append((path, options))
        if path.stem in self.errors:
            raise self.errors[path.stem]

    def detect(self, path, **options):
        self._ask(path, **options)
        return self.faces.get(path.stem, faces())

    def embed(self, path, **options):
        self._ask(path, **options)
        return self.embeddings.get(path.stem, embedding(0))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def records(result):
    return [json.loads(line) for line in result.stdout.splitlines()]
