"""``aurum validate``: how right the running service is (docs/reports/accuracy.md)."""

# ruff: noqa: PLC0415 - SciPy and the client are imported where they are needed, to start fast

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
from aurum.cli import FAILED, UNREACHABLE, CommandError, evaluation_packages
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.evaluation.target import Target

validate = typer.Typer(
    help="Judge the answers of the running service: verification, detection, hard variants of "
    "photos, parity with the upstream models, and calibration. A rerun continues where the last "
    "one ended.",
    no_args_is_help=True,
)

Out = Annotated[
    Path, typer.Option(help="Folder of the report, and of the raw answers that a rerun keeps.")
]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        help="The service, as http(s):// or grpc(s)://. Without it one is started on free "
        "loopback ports.",
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(help="Photos as `person/file.jpg`.", exists=True, file_okay=False),
]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos, or folders of them.")]


@contextmanager
def _target(urls: list[str] | None) -> Iterator[Target]:
    """The service, and errors that end the command in plain words."""
    with evaluation_packages():
        from aurum_client import AurumError

        from aurum.evaluation.target import serving
    try:
        with serving(urls or [], Settings.from_env()) as target:
            yield target
    except AurumError as error:
        raise CommandError(UNREACHABLE, f"the service can't be used: {error}") from error


def _command() -> str:
    """The command as it was given, without the machine's folders before the program's name."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _write(path: Path, text: str) -> None:
    """The report's file, and its text on stdout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text)


@validate.command()
def verification(
    folder: Folder,
    pairs: Annotated[
        Path, typer.Option(help="Official LFW pairs file, of any number of sets.", exists=True)
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Are two photos of one person? Accuracy by LFW's protocol, TAR at FAR, ROC, worst pairs."""
    with _target(url) as target:
        from aurum.evaluation import plots
        from aurum.evaluation import verification as judge

        result = judge.run(target, folder, pairs, out)
        plots.roc_curve(result, out / "roc.png")
        plots.worst_pairs(result, folder, out / "worst_pairs.png")
        _write(out / "verification.md", judge.report(result, target, pairs.name, _command()))


@validate.command()
def calibrate(
    folder: Folder,
    out: Out,
    dataset: Annotated[str, typer.Option(help="The data set's name in the table.")] = "LFW",
    url: Urls = None,
) -> None:
    """Thresholds at FAR 1e-2, 1e-3 and 1e-4 and a probability, from all pairs of the photos."""
    with _target(url) as target:
        from aurum.evaluation import calibrate as judge

        date = datetime.now(UTC).date().isoformat()
        _write(out / "calibration.md", judge.run(target, folder, out, dataset, date, _command()))


@validate.command()
def detection(
    folder: Annotated[
        Path, typer.Argument(help="Folder that the files are in.", exists=True, file_okay=False)
    ],
    annotations: Annotated[
        Path,
        typer.Option(help="Marked faces: .csv, .jsonl, or WIDER FACE's .txt.", exists=True),
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Are the faces found that people have marked? Recall, precision, IoU, landmark error."""
    with _target(url) as target:
        from aurum.evaluation import annotations as marks
        from aurum.evaluation import detection as judge

        tallies = judge.judge(target, folder, marks.read(annotations), out)
        judge.save(tallies, out / "detection.csv")
        _write(out / "detection.md", judge.report(tallies, target, annotations.name, _command()))


@validate.command()
def variants(
    folder: Annotated[
        Path, typer.Argument(help="Photos of faces, in any folders.", exists=True, file_okay=False)
    ],
    out: Out,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Marked faces. Without them what the service finds in the untouched photos.",
            exists=True,
        ),
    ] = None,
    faces: Annotated[
        int, typer.Option(min=1, help="How many faces each variant is made of.")
    ] = 200,
    only: Annotated[
        list[str] | None, typer.Option(help="Only variants whose names begin so.")
    ] = None,
    url: Urls = None,
) -> None:
    """Are known faces found in hard variants of their photos: close-ups, small, dark, turned?"""
    photos = [path.relative_to(folder).as_posix() for path in find([folder])]
    with _target(url) as target:
        from aurum.evaluation import annotations as marks
        from aurum.evaluation import detection as judge
        from aurum.evaluation import hard, plots

        marked = (
            marks.read(annotations)
            if annotations
            else judge.own_truth(target, folder, judge.spread(photos, 2 * faces), out)
        )
        tallies = hard.run(target, folder, marked, out, faces, only or [])
        judge.save(tallies, out / "variants.csv")
        plots.bars(
            [item.name for item in tallies],
            [item.recall for item in tallies],
            [item.interval for item in tallies],
            out / "variants.png",
        )
        _write(out / "variants.md", hard.report(tallies, target, folder.name, _command()))


@validate.command()
def finding(folder: Folder, out: Out, url: Urls = None) -> None:
    """Is every face found, and read right: crowds, close-ups, photos on their side, moved ones?"""
    with _target(url) as target:
        from aurum.evaluation import finding as judge

        tables = judge.run(target, folder, out)
        _write(out / "finding.md", judge.report(tables, target, folder.name, _command()))


@validate.command()
def gate(
    folder: Folder,
    pairs: Annotated[
        Path,
        typer.Option(help="Pairs file in LFW's format, for the price.", exists=True),
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """Are strangers who can't be recognized kept apart: blurred, dark, small, turned, no faces?"""
    with _target(url) as target:
        from aurum.evaluation import gate as judge

        rows, price = judge.run(target, folder, pairs, out)
        _write(out / "gate.md", judge.report(rows, price, target, _command()))


@validate.command()
def groups(
    folder: Folder,
    groups: Annotated[
        Path, typer.Option(help="File of lines `person<TAB>group`.", exists=True, dir_okay=False)
    ],
    out: Out,
    url: Urls = None,
) -> None:
    """How many more strangers match within groups of people than at random?"""
    with _target(url) as target:
        from aurum.evaluation import groups as judge

        rows, thresholds = judge.run(target, folder, judge.read(groups), out)
        _write(out / "groups.md", judge.report(rows, thresholds, target, _command()))


@validate.command()
def parity(
    paths: Photos,
    out: Out,
    batch: Annotated[
        list[int], typer.Option(min=1, help="Requests in flight at a time; may be repeated.")
    ] = [1, 8],  # noqa: B006 - typer copies it
    url: Urls = None,
) -> None:
    """Does the service say what OpenCV and the upstream graphs say? Ends with 1 where it doesn't.

    Both Python clients ask every --url; with a service of its own, HTTP and gRPC.
    """
    photos = find(paths)
    with _target(url) as target:
        from aurum.evaluation import parity as judge

        rows = judge.run(target, photos, batch)
        _write(out / "parity.md", judge.report(rows, target, len(photos), _command()))
    if not all(row.same for row in rows):
        raise typer.Exit(FAILED)
