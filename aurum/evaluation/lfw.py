"""Read folders and pairs files in the layout of Labeled Faces in the Wild.

Huang et al., "Labeled Faces in the Wild" (2007); the pairs file is described in its README:
a header `sets<TAB>pairs`, then for each set `pairs` lines `name n1 n2` of one person and as many
lines `name1 n1 name2 n2` of two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aurum.batch import SUFFIXES
from aurum.evaluation import ValidationError, read_text

SEED = 20240  # of all random choices


class Pair(NamedTuple):
    """Two photos, as paths relative to the images' folder, and whether they show one person."""

    fold: int
    same: bool
    a: str
    b: str


def photo(name: str, number: int) -> str:
    """Return the path of a person's photo in LFW: `Name/Name_0001.jpg`."""
    return f"{name}/{name}_{number:04d}.jpg"


def read_pairs(path: Path) -> list[Pair]:
    """Read an official pairs file. Raises ValidationError, which names the line.

    A development file's header has no number of sets, since it has one set.
    """
    lines = read_text(path).splitlines()
    try:
        *sets, each = (int(word) for word in lines[0].split())
        count = sets[0] if sets else 1
    except (IndexError, ValueError):
        raise ValidationError(f"{path}: the first line must be `sets<TAB>pairs`") from None
    rows = [(number, line.split()) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if len(rows) != 2 * count * each:
        raise ValidationError(
            f"{path}: {len(rows)} pairs, but the header says {count} sets of {each} and {each}"
        )
    pairs = []
    for index, (number, words) in enumerate(rows):
        fold, place = divmod(index, 2 * each)
        same = place < each
        try:
            if len(words) != (3 if same else 4):
                raise ValueError
            first = photo(words[0], int(words[1]))
            second = photo(words[0 if same else 2], int(words[-1]))
        except ValueError:
            wanted = "`name n1 n2`" if same else "`name1 n1 name2 n2`"
            raise ValidationError(f"{path}, line {number}: expected {wanted}") from None
        pairs.append(Pair(fold, same, first, second))
    return pairs


def images(folder: Path) -> list[str]:
    """Return all photos `person/file.jpg` of the folder, of any format, sorted, relative to it."""
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.glob("*/*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise ValidationError(f"{folder}: has no photos `person/file.jpg`, one folder for a person")
    return found


def firsts(names: Sequence[str]) -> list[str]:
    """Return the first photo of each person among sorted photos `person/file.jpg`."""
    return list({person(name): name for name in reversed(names)}.values())


def person(name: str) -> str:
    """Return the person that a photo shows: its folder's name."""
    return name.split("/", 1)[0]


def halves(photos: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split photos by person into two random halves: one to fit on, one to evaluate on."""
    people = sorted({person(photo) for photo in photos})
    order = np.random.default_rng(SEED).permutation(people).tolist()
    fitted = set(order[: len(order) // 2])
    return (
        [photo for photo in photos if person(photo) in fitted],
        [photo for photo in photos if person(photo) not in fitted],
    )
