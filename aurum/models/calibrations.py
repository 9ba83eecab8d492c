"""Calibrations of embedders: those in the manifest, and those that a user made of own photos.

`aurum models calibrate` keeps the latter in the folder of all state. They take precedence: the
built graph of their embedder contains them.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from aurum.models.toml_table import ManifestError, Table
from aurum.settings import Settings

# False accept rates for which a calibrated embedder has thresholds, in this order.
FARS = ("1e-2", "1e-3", "1e-4")


@dataclass(frozen=True)
class Calibration:
    """The meaning of an embedder's similarities (cosines), measured on photos of many people.

    The probability that two photos show the same person is 1 / (1 + exp(-(slope * similarity +
    intercept))) if `prior` is the share of such pairs among all pairs (Platt 1999).
    """

    thresholds: tuple[float, ...]  # lowest cosine at which a pair is accepted, for each of FARS
    slope: float
    intercept: float
    prior: float
    dataset: str
    impostor_pairs: int
    genuine_pairs: int
    date: date
    command: str
    own: bool = False  # made by the user, not part of the manifest

    @property
    def row(self) -> tuple[float, ...]:
        """The six numbers stored in the served graph: thresholds, slope, intercept, prior."""
        return (*self.thresholds, self.slope, self.intercept, self.prior)


def own_file(embedder: str, settings: Settings) -> Path:
    """Return where a user's own calibration of the embedder with this id is kept."""
    return settings.home / "calibrations" / f"{embedder}.toml"


def own(embedder: str, settings: Settings) -> Calibration | None:
    """Read the user's own calibration of the embedder with this id, if there is one.

    Raises ManifestError, which names the file.
    """
    path = own_file(embedder, settings)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    table = Table(str(path), document)
    calibration = parse(table.take("calibration", dict, "a table"), table.entry, embedder)
    table.done()
    return replace(calibration, own=True)


def parse(value: Any, entry: str, embedder: str) -> Calibration:
    """Read a calibration table of `entry` strictly; `embedder` is the id that it must be for.

    Raises ManifestError.
    """
    table = Table(f"{entry}, calibration", value)
    # Another file needs another calibration.
    table.one_of("model", (embedder,))
    thresholds = Table(f"{table.entry}, thresholds", table.take("thresholds", dict, "a table"))
    curve = Table(f"{table.entry}, probability", table.take("probability", dict, "a table"))
    smallest = sys.float_info.min
    calibration = Calibration(
        thresholds=tuple(thresholds.number(far, -1, 1) for far in FARS),
        slope=curve.number("slope", smallest),
        intercept=curve.number("intercept", -sys.float_info.max),
        prior=curve.number("prior", smallest, 1 - sys.float_info.epsilon),
        dataset=table.text("dataset"),
        impostor_pairs=table.count("impostor_pairs", ...) or 0,
        genuine_pairs=table.count("genuine_pairs", ...) or 0,
        date=table.take("date", date, "a date"),
        command=table.text("command"),
    )
    if sorted(calibration.thresholds) != list(calibration.thresholds):
        raise table.error("thresholds", "must not decrease as the FAR decreases")
    for part in (thresholds, curve, table):
        part.done()
    return calibration
