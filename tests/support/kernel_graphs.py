"""Graphs with our operators, the plain graphs, and the tolerance within which both agree."""

import os
from pathlib import Path

import numpy as np
import onnx
from graphs import ENTRIES, session, weights

from aurum import kernels as ours
from aurum.models import families, kernels, parity
from aurum.models.parity import PIXEL_TOLERANCE, SCORE_TOLERANCE

LIBRARY = Path(os.environ.get("AURUM_OPS_LIBRARY") or ours.OPERATORS).resolve()

DETECTOR, EMBEDDER = ("yunet_s_dynamic", "face_detection"), ("edgeface_xs_q", "face_embedding")


def by_kernels(model, library=LIBRARY):
    return session(model, library)


def upstream(name):
    """Return a model's entry and graph."""
    entry = ENTRIES[name]
    return entry, onnx.load(weights(entry.file))


def graph(name, served):
    entry, model = upstream(name)
    made = kernels.build(served, entry, model)
    assert made is not None
    return made


def pair(name, served):
    """Open sessions of a model's plain graph and of its graph with kernels."""
    entry, model = upstream(name)
    return session(families.build(served, entry, model)), by_kernels(graph(name, served))


def assert_same_candidates(got, want):
    assert {name: value.shape for name, value in got.items()} == {
        name: value.shape for name, value in want.items()
    }
    assert np.abs(got["scores"] - want["scores"]).max() <= SCORE_TOLERANCE
    for n in range(len(got["scores"])):
        parts = [found[n] for found in (got["boxes"], got["landmarks"])]
        wanted = [found[n] for found in (want["boxes"], want["landmarks"])]
        for i in np.flatnonzero(got["scores"][n] > parity.NOISE):
            # Either of two nearly equal scores may come first.
            near = np.abs(want["scores"][n] - got["scores"][n, i]) <= SCORE_TOLERANCE
            off = np.maximum(
                np.abs(wanted[0][near] - parts[0][i]).max(axis=1),
                np.abs(wanted[1][near] - parts[1][i]).max(axis=(1, 2)),
            )
            assert off.min() <= PIXEL_TOLERANCE


def planes(batch):
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def extremes(*shape):
    """All black, all white, and a random mix of both."""
    mixed = np.random.default_rng(1).integers(0, 2, shape, np.uint8) * 255
    return np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), mixed])
