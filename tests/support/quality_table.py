"""A made-up table of measured faces, as the tools that fit the total quality read it."""

import numpy as np

from aurum.quality.parts import PARTS
from benchmarks.quality import samples
from benchmarks.quality.measure import Table


def table(persons, found=None, embeddings=None):
    """Build the table; `persons` names the person of each photo, which has VERSIONS samples."""
    people = np.repeat(persons, samples.VERSIONS)
    count = len(people)
    return Table(
        np.array(
            [f"{name}/{name}_{i // samples.VERSIONS:04d}.jpg" for i, name in enumerate(people)]
        ),
        people,
        np.array([""] + ["blur"] * (samples.VERSIONS - 1))[np.arange(count) % samples.VERSIONS],
        (np.arange(count) % samples.VERSIONS) / samples.VERSIONS,
        np.ones(count, bool) if found is None else found,
        np.zeros((count, len(PARTS)), np.float32),
        np.eye(count, 512, dtype=np.float32) if embeddings is None else embeddings,
        np.zeros(count, np.float32),
    )
