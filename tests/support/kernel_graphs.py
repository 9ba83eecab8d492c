"""Graphs with our operators, the plain graphs, and the tolerance within which both agree."""

import os
from pathlib import Path

import numpy as np
import onnx
from graphs import ENTRIES, session, weights

from aurum import kernels as ours
from aurum.imaging.faces import LISTED_SCORE
from aurum.models import families, kernels, parity
from aurum.models.parity import FLOATS, INTEGERS

LIBRARY = Path(os.environ.get("AURUM_OPS_LIBRARY") or ours.OPERATORS).resolve()

DETECTOR, EMBEDDER = ("yunet_s_dynamic", "face_detection"), ("edgeface_xs_q", "face_embedding")


# What the kernels of this processor may differ by.
TOLERANCE = INTEGERS if ours.find().name == "AVX-512 VNNI" else FLOATS


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


def assert_same_candidates(got, want, allowed=TOLERANCE):
    """Compare lists of candidates, of which only those near the end may be in just one."""
    assert got.keys() == want.keys()
    count = min(found["scores"].shape[1] for found in (got, want))
    for found in (got, want):
        assert np.all(found["scores"][:, count:] <= LISTED_SCORE + allowed.score)
    assert np.abs(got["scores"][:, :count] - want["scores"][:, :count]).max() <= allowed.score
    for n in range(len(got["scores"])):
        parts = [found[n] for found in (got["boxes"], got["landmarks"])]
        wanted = [found[n] for found in (want["boxes"], want["landmarks"])]
        least = max(parity.NOISE, want["scores"][n, count - 1] + allowed.score)
        for i in np.flatnonzero(got["scores"][n] > least):
            # Either of two nearly equal scores may come first.
            near = np.abs(want["scores"][n] - got["scores"][n, i]) <= allowed.score
            off = np.maximum(
                np.abs(wanted[0][near] - parts[0][i]).max(axis=1),
                np.abs(wanted[1][near] - parts[1][i]).max(axis=(1, 2)),
            )
            assert off.min() <= allowed.pixels + allowed.share * parts[0][i, 2:].max()


def planes(batch):
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def extremes(*shape):
    """All black, all white, and a random mix of both."""
    mixed = np.random.default_rng(1).integers(0, 2, shape, np.uint8) * 255
    return np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), mixed])
