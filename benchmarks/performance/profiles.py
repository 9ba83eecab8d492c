"""Measure every profile whose files are here, for `aurum models list` and docs/guides/choosing.md.

    .venv/bin/python -m benchmarks profiles --lfw ../shared/datasets/lfw --cost

`--lfw` measures verification through the service; a loaded machine doesn't matter. `--cost`
measures time and memory, which needs a quiet machine. What a run doesn't measure stays as it was.
The figures go to aurum/models/measured.json, and `make pages` writes them into the page.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aurum_client import FaceClient

from aurum.evaluation import roc, verification
from aurum.evaluation.target import serving
from aurum.models import manifest, measured, pull
from aurum.models.manifest import Profile
from aurum.models.measured import Accuracy, Cost
from aurum.models.pull import PullError
from aurum.paths import CHECKOUT, PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings
from benchmarks.common import machine, processes

PAIRS = "pairs_dev.txt"
FAR = 1e-3
WARM, PHOTOS = 20, 300  # requests before and during the timing


def main() -> None:
    """Measure the profiles, and write each one's figures as soon as they are known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lfw", type=Path, help=f"folder with images/ and {PAIRS}")
    parser.add_argument("--cost", action="store_true", help="time and memory")
    parser.add_argument("--only", nargs="*", metavar="PROFILE", help="default: all")
    given = parser.parse_args()
    profiles = manifest.load().profiles
    for name in given.only or profiles:
        _measure(profiles[name], given.lfw, cost=given.cost)


def _measure(profile: Profile, lfw: Path | None, *, cost: bool) -> None:
    settings = replace(Settings.from_env(), profile=profile.name, offline=True)
    if any(model.file is None for model in profile.models):
        print(f"{profile.name}: simulated, not measured")
        return
    try:
        pull.pull_profile(profile, settings)
    except PullError as error:
        print(f"{profile.name}: not measured; {str(error).splitlines()[0]}")
        return
    found = measured.of(profile, measured.load())
    if lfw is not None:
        found = replace(found, accuracy=_accuracy(settings, lfw))
    if cost:
        found = replace(found, cost=_cost(settings))
    measured.save({**measured.load(), profile.name: found})
    print(f"{profile.name}: {dict(zip(measured.HEADS, measured.cells(found), strict=True))}")


def _accuracy(settings: Settings, lfw: Path) -> Accuracy:
    out = CHECKOUT / ".aurum" / "accuracy" / "profiles" / settings.profile
    with serving([], settings) as target:
        result = verification.run(target, lfw / "images", lfw / PAIRS, out)
    tar = roc.tar_at_far(result.scores, result.same, FAR).tar
    folds = result.folds
    return Accuracy(
        round(folds.mean, 5), round(folds.standard_error, 5), round(tar, 5), len(result.pairs),
        PAIRS, _today(),
    )  # fmt: skip


def _cost(settings: Settings) -> Cost:
    photo = PHOTO.read_bytes()
    with (
        tempfile.TemporaryDirectory(prefix="aurum-") as folder,
        ephemeral.running(settings, Path(folder)) as service,
        FaceClient(service.urls[0]) as client,
    ):
        _times(client, photo, WARM)
        taken = _times(client, photo, PHOTOS)
        memory = processes.memory(service.server.pid)
        facts = machine.facts(service.prepared.ids, service.urls[0])
    return Cost(
        round(statistics.median(taken), 2), round(memory, 1), PHOTOS, str(facts["cpu"]),
        int(str(facts["cores"])), _today(),
    )  # fmt: skip


def _times(client: FaceClient, photo: bytes, count: int) -> Sequence[float]:
    """Send the photo `count` times, one after the other; return the milliseconds of each."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        client.analyze(photo)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
