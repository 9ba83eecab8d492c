"""Run a suite, part by part, against a throwaway server or a given one."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aurum_client import AurumError, FaceClient
from rich.console import Console
from rich.progress import Progress

from aurum.batch import find
from aurum.errors import OperatorError
from aurum.evaluation import photos
from aurum.models import build
from aurum.models.build import BuiltProfile
from aurum.paths import CHECKOUT, PHOTO
from aurum.server import ephemeral
from aurum.settings import Settings
from benchmarks.common import machine
from benchmarks.performance import gpu
from benchmarks.performance.bench import Bench
from benchmarks.performance.parts import batching, compare, faces, locust, models, soak, sweep
from benchmarks.performance.suites import Suite

PARTS = {
    "compare": compare.measure,
    "models": models.measure,
    "faces": faces.measure,
    "batching": batching.measure,
    "perf_analyzer": sweep.measure,
    "locust": locust.measure,
    "gpu": gpu.measure,
    "soak": soak.measure,
}
RAW = "raw"


class BenchError(OperatorError, RuntimeError):
    """The suite can't be run as requested."""


@dataclass(frozen=True)
class Target:
    """The server under test."""

    http: str
    grpc: str
    pid: int | None
    prepared: BuiltProfile


def run(
    suite: Suite,
    out: Path,
    *,
    urls: Sequence[str] = (),
    only: Sequence[str] = (),
    extra_photos: Sequence[Path] = (),
) -> list[str]:
    """Measure into `out`; return the names of the parts that failed.

    Args:
        suite: how much to measure.
        out: gets `raw/`; parts that `only` leaves out keep an earlier run's figures.
        urls: one http:// and one grpc:// address; if empty, a server is started.
        only: names of PARTS; if empty, all.
        extra_photos: photos and folders of photos for the mixed load.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise BenchError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    raw = out / RAW
    done = _earlier(raw, suite) if only else {}
    if not done and (raw / "run.json").is_file():
        shutil.rmtree(raw)
    raw.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in PARTS if not only or name in only]
    settings = Settings.from_env()
    console = Console(stderr=True)
    failed: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="aurum-bench-") as folder,
        _target(settings, urls, Path(folder)) as target,
        Progress(console=console) as progress,
    ):
        bench = Bench(
            suite=suite,
            settings=settings,
            prepared=target.prepared,
            http=target.http,
            grpc=target.grpc,
            pid=target.pid,
            photo=PHOTO,
            photos=_mixed(Path(folder) / "photos", extra_photos),
            raw=raw,
            progress=progress,
        )
        facts = machine.facts(target.prepared.ids, target.http)
        bench.save("machine", facts)
        for name in chosen:
            bench.notes.clear()
            began = time.monotonic()
            try:
                PARTS[name](bench)
            except Exception as error:  # an error in one part must not stop the others
                known = isinstance(error, OperatorError | AurumError)
                bench.note(f"failed: {error if known else repr(error)}")
                failed.append(name)
            done[name] = {
                "seconds": round(time.monotonic() - began, 1),
                "commit": facts["commit"],
                "notes": list(bench.notes),
            }
            bench.save("run", {"suite": asdict(suite), "parts": done})
    return failed


def _earlier(raw: Path, suite: Suite) -> dict[str, Any]:
    """Return the parts that an earlier run of the same suite left in `raw`."""
    try:
        run = json.loads((raw / "run.json").read_text())
    except OSError:
        return {}
    return dict(run["parts"]) if run["suite"]["name"] == suite.name else {}


@contextmanager
def _target(settings: Settings, urls: Sequence[str], folder: Path) -> Iterator[Target]:
    """Yield the server at `urls`, or a throwaway server on free ports."""
    if not urls:
        with ephemeral.running(settings, folder / "server") as service:
            http, grpc = service.urls
            yield Target(http, grpc, service.server.pid, service.prepared)
        return
    by_scheme = {url.partition("://")[0]: url.rstrip("/") for url in urls}
    if set(by_scheme) != {"http", "grpc"} or len(urls) != 2:
        raise BenchError("give two addresses, one http:// and one grpc://, or none")
    prepared = build.prepare(settings)
    with FaceClient(by_scheme["http"]) as client:
        served = {model.name: model.id for model in client.models()}
    for name, model in prepared.ids.items():
        if served.get(name) != model:
            raise BenchError(
                f"the server's {name} is {served.get(name)}, but in process it would be {model}, "
                "so nothing could be compared: set AURUM_PROFILE to the server's profile"
            )
    yield Target(by_scheme["http"], by_scheme["grpc"], None, prepared)


def _mixed(folder: Path, extra: Sequence[Path]) -> Path:
    """Create a folder of photos with no, one, some and many faces, and the given photos."""
    folder.mkdir()
    shutil.copy(PHOTO, folder)
    for count, data in photos.tiled(PHOTO).items():
        (folder / f"faces-{count}.jpg").write_bytes(data)
    for number, path in enumerate(find(extra) if extra else []):
        shutil.copy(path, folder / f"{number}-{path.name}")
    return folder


def shared_photos() -> list[Path]:
    """Return the folder of group photos beside the checkout, if it exists (tests use it, too)."""
    folder = CHECKOUT.parent / "shared" / "photos"
    return [folder] if folder.is_dir() else []
