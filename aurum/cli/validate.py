"""``aurum validate``: measure the accuracy of the running service (docs/reports/accuracy.md)."""

# ruff: noqa: PLC0415 - SciPy and the client are imported only where needed, for a fast start

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.batch import find
from aurum.cli import FAILED, UNREACHABLE, CommandError, optional_packages
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.evaluation.target import Target

validate = typer.Typer(
    help="Measure the accuracy of the running service: verification, detection, hard variants of "
    "photos, parity with the upstream models, calibration. A rerun continues an interrupted run.",
    no_args_is_help=True,
)

Out = Annotated[
    Path, typer.Option(help="Folder for the report and the raw answers, which a rerun reuses.")
]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        help="Address of the service, http(s):// or grpc(s)://; may be repeated. Default: start "
        "one on free loopback ports.",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(help="Photos as `person/file.jpg`.", exists=True, file_okay=False),
]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos, or folders of them.")]


@contextmanager
def evaluated(urls: list[str] | None) -> Iterator[Target]:
    """Connect to the service, or start one; turn client errors into CommandError."""
    with optional_packages("evaluation"):
        from aurum_client import AurumError

        from aurum.evaluation.target import serving
    try:
        with serving(urls or [], Settings.from_env()) as target:
            yield target
    except AurumError as error:
        raise CommandError(UNREACHABLE, f"the service can't be used: {error}") from error


def command_line() -> str:
    """Return the command line without the folders of the program's path."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _write(path: Path, text: str) -> None:
    """Write the report to `path` and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text)


@validate.command()
def verification(
    folder: Folder,
    pairs: Annotated[
        Path, typer.Option(help="LFW pairs file with any number of sets.", exists=True)
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Measure verification: accuracy by LFW's protocol, TAR at FAR, ROC, worst pairs."""
    with evaluated(url) as target:
        from aurum.evaluation import plots, verification

        result = verification.run(target, folder, pairs, out)
        plots.roc_curve(result, out / "roc.png")
        plots.worst_pairs(result, folder, out / "worst_pairs.png")
        text = verification.report(result, target, pairs.name, command_line())
        _write(out / "verification.md", text)


@validate.command()
def calibrate(
    folder: Folder,
    out: Out,
    dataset: Annotated[str, typer.Option(help="Name of the data set in the table.")] = "LFW",
    url: Urls = None,
) -> None:
    """Fit thresholds at FAR 1e-2, 1e-3 and 1e-4, and a probability, to all pairs of the photos."""
    with evaluated(url) as target:
        from aurum.evaluation import calibrate

        date = datetime.now(UTC).date().isoformat()
        text = calibrate.run(target, folder, out, dataset, date, command_line())
        _write(out / "calibration.md", text)


@validate.command()
def detection(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the photos.", exists=True, file_okay=False)
    ],
    annotations: Annotated[
        Path,
        typer.Option(help="Annotated faces: .csv, .jsonl, or WIDER FACE's .txt.", exists=True),
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Measure detection of annotated faces: recall, precision, IoU, landmark error."""
    with evaluated(url) as target:
        from aurum.evaluation import detection
        from aurum.evaluation.annotations import read

        tallies = detection.evaluate(target, folder, read(annotations), out)
        detection.save(tallies, out / "detection.csv")
        text = detection.report(tallies, target, annotations.name, command_line())
        _write(out / "detection.md", text)


@validate.command()
def variants(
    folder: Annotated[
        Path, typer.Argument(help="Photos of faces, in any folders.", exists=True, file_okay=False)
    ],
    out: Out,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Annotated faces. Default: the faces that the service finds in the originals.",
            exists=True,
        ),
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Number of faces in each variant.")] = 200,
    only: Annotated[
        list[str] | None, typer.Option(help="Only variants whose names begin with this.")
    ] = None,
    url: Urls = None,
) -> None:
    """Measure recall on hard variants of photos: close-ups, small, dark, turned and more."""
    photos = [path.relative_to(folder).as_posix() for path in find([folder])]
    with evaluated(url) as target:
        from aurum.evaluation import detection, hard, plots
        from aurum.evaluation.annotations import read

        marked = (
            read(annotations)
            if annotations
            else detection.own_truth(target, folder, detection.spread(photos, 2 * faces), out)
        )
        tallies = hard.run(target, folder, marked, out, faces, only or [])
        detection.save(tallies, out / "variants.csv")
        plots.bars(
            [item.name for item in tallies],
            [item.recall for item in tallies],
            [item.interval for item in tallies],
            out / "variants.png",
        )
        _write(out / "variants.md", hard.report(tallies, target, folder.name, command_line()))


@validate.command()
def finding(folder: Folder, out: Out, url: Urls = None) -> None:
    """Measure detection in crowds, close-ups, very long and small photos, turned and moved ones."""
    with evaluated(url) as target:
        from aurum.evaluation import finding

        tables = finding.run(target, folder, out)
        _write(out / "finding.md", finding.report(tables, target, folder.name, command_line()))


@validate.command()
def gate(
    folder: Folder,
    pairs: Annotated[
        Path,
        typer.Option(help="Pairs file in LFW's format, to measure the cost.", exists=True),
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Measure false matches among degraded photos of strangers, with and without the gate."""
    with evaluated(url) as target:
        from aurum.evaluation import gate

        rows, price = gate.run(target, folder, pairs, out)
        _write(out / "gate.md", gate.report(rows, price, target, command_line()))


@validate.command()
def groups(
    folder: Folder,
    groups: Annotated[
        Path, typer.Option(help="File of lines `person<TAB>group`.", exists=True, dir_okay=False)
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Measure false matches within groups of people, compared with those at random."""
    with evaluated(url) as target:
        from aurum.evaluation.groups import read, report, run

        rows, thresholds = run(target, folder, read(groups), out)
        _write(out / "groups.md", report(rows, thresholds, target, command_line()))


@validate.command()
def conditions(
    folder: Folder,
    pairs: Annotated[Path, typer.Option(help="Pairs file in LFW's format.", exists=True)],
    out: Out,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="File of lines `person<TAB>group`, for false matches within groups.", exists=True
        ),
    ] = None,
    url: Urls = None,
) -> None:
    """Measure recognition with masks, sunglasses, backlight, small and turned faces, by group."""
    with evaluated(url) as target:
        from aurum.evaluation import conditions
        from aurum.evaluation import groups as by_group

        rows = conditions.run(target, folder, pairs, out)
        conditions.save(rows, out / "conditions.csv")
        within = []
        if groups:
            found = by_group.run(target, folder, by_group.read(groups), out)
            within = by_group.section(*found)
        text = conditions.report(rows, target, pairs.name, command_line(), within)
        _write(out / "conditions.md", text)


@validate.command()
def parity(
    paths: Photos,
    out: Out,
    batch: Annotated[
        list[int], typer.Option(min=1, help="Requests in flight at a time; may be repeated.")
    ] = [1, 8],  # noqa: B006 - typer copies it
    url: Urls = None,
) -> None:
    """Compare the service with OpenCV and the upstream graphs; exit with 1 if they differ.

    Both Python clients query every --url; if the command starts the service, over HTTP and gRPC.
    """
    photos = find(paths)
    with evaluated(url) as target:
        from aurum.evaluation import parity

        rows = parity.run(target, photos, batch)
        _write(out / "parity.md", parity.report(rows, target, len(photos), command_line()))
    if not all(row.same for row in rows):
        raise typer.Exit(FAILED)
