"""Measure every sample once, and cache the results so that a rerun continues."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from aurum.evaluation.lfw import person
from aurum.quality.parts import PARTS
from benchmarks.quality import samples
from benchmarks.quality.source import Source

CHUNK = 400


class Table(NamedTuple):
    """S samples: the versions of every photo, one after the other, the untouched one first."""

    photo: NDArray[np.str_]  # [S] person/file.jpg
    person: NDArray[np.str_]  # [S]
    kinds: NDArray[np.str_]  # [S] joined by "+"; "" for the untouched
    severity: NDArray[np.float64]  # [S] 0..1, of the stronger kind; 0 for the untouched
    found: NDArray[np.bool_]  # [S] whether the person's face was found
    parts: NDArray[np.float32]  # [S,K], zeros where not found
    embeddings: NDArray[np.float32]  # [S,512], zeros where not found
    quality: NDArray[np.float32]  # [S], from the source; 0 where not found


def options(description: str | None) -> argparse.ArgumentParser:
    """Create the command line of the tools that measure."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("images", type=Path, help="folder of person/photo.jpg")
    parser.add_argument("--cache", type=Path, required=True, help="folder for cached measurements")
    return parser


def measure(
    folder: Path, names: Sequence[str], source: Source, cache: Path, workers: int = 2
) -> Table:
    """Measure photos `person/file.jpg` of a folder, each in all versions.

    `cache` stores chunks of results; use a separate folder for each source and seed.
    """
    jobs = [(name, version) for name in names for version in range(samples.VERSIONS)]
    cache.mkdir(parents=True, exist_ok=True)
    tables = []
    chunks = range(0, len(jobs), CHUNK)
    with ThreadPoolExecutor(workers) as pool:
        for start in track(chunks, "measuring", console=Console(stderr=True)):
            part = jobs[start : start + CHUNK]
            path = cache / f"{samples.digest(part)}.npz"
            if not path.is_file():
                rows = list(pool.map(functools.partial(_one, folder, source), part))
                columns = [np.array(column) for column in zip(*rows, strict=True)]
                unfinished = path.with_suffix(".part.npz")
                np.savez(unfinished, **dict(zip(Table._fields, columns, strict=True)))
                unfinished.replace(path)
            with np.load(path) as kept:
                tables.append([kept[field] for field in Table._fields])
    return Table(*(np.concatenate(column) for column in zip(*tables, strict=True)))


def _one(folder: Path, source: Source, job: tuple[str, int]) -> tuple[object, ...]:
    name, version = job
    sample = samples.sample(folder, name, version)
    faces = source(sample.image)
    label = name, person(name), "+".join(sample.kinds), max(sample.severities, default=0.0)
    if len(faces.boxes):
        centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
        away = np.linalg.norm(centres - sample.centre, axis=1)
        nearest = int(away.argmin())
        if away[nearest] <= sample.reach:
            found = faces.parts[nearest], faces.embeddings[nearest], faces.quality[nearest]
            return *label, True, *found
    nothing = np.zeros(len(PARTS), np.float32), np.zeros(512, np.float32), np.float32(0)
    return *label, False, *nothing
