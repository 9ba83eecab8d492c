"""``aurum bulk``: embed many photos into Parquet files, compare two such runs."""

# ruff: noqa: PLC0415 - pyarrow and the client are imported only where needed, for a fast start

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.cli import (
    FAILED,
    UNREACHABLE,
    USAGE,
    CommandError,
    key_headers,
    key_remedy,
    optional_packages,
    photos,
    print_stderr,
)
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum.bulk.diff import Difference
    from aurum.bulk.run import Job, Tally

bulk = typer.Typer(
    help="Embed many photos once, into Parquet files; compare two runs. "
    "Guide: docs/guides/bulk.md.",
    no_args_is_help=True,
)
RUN_CODES = (
    "Exit codes: 0 every photo is done, those that failed are in the table of failures; 1 stopped; "
    "2 wrong usage; 3 the service cannot be reached or used. The same command continues after "
    "each of these."
)
Folder = Annotated[Path, typer.Argument(help="Output of `aurum bulk run`.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@bulk.command(epilog=RUN_CODES)
def run(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of photos, a text file of paths, or Parquet or Arrow files, also as an "
            "address of fsspec such as s3://bucket/folder.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables; a rerun continues there.")],
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="Address of the service, http(s):// or grpc(s)://; may be repeated for several "
            "servers. Default: AURUM_URL, or the service that `aurum up` starts."
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1024, help="Photos in flight at a time, over all servers.")
    ] = 8,
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="Do only part I, from 0, of N; by the photos' ids."),
    ] = "0/1",
    id_column: Annotated[
        str | None, typer.Option(help="A table's column of ids. Default: id.")
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(help="A table's column of encoded photos or of their paths. Default: image."),
    ] = None,
    part: Annotated[
        int, typer.Option(min=1, max=100_000, help="Photos in one file: what a crash can cost.")
    ] = 2000,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a service that answers nothing.")
    ] = 300.0,
    min_confidence: photos.MinConfidence = None,
    max_faces: photos.MaxFaces = None,
    detection_size: photos.DetectionSize = None,
    orientation: photos.Orientation = None,
    refine: photos.Refine = None,
    tiles: photos.Tiles = None,
    min_quality: photos.MinQuality = None,
) -> None:
    """Find and embed all faces of many photos, and write one row a face to OUT/faces/*.parquet."""
    with optional_packages("backfill"):
        from aurum.bulk.run import Job
        from aurum.bulk.shards import Shard
        from aurum.bulk.source import open_source
    from aurum.bulk import ServiceDownError, UsageError

    settings = Settings.from_env()
    options = {
        "min_confidence": min_confidence,
        "max_faces": max_faces,
        "detection_size": detection_size,
        "orientation": orientation,
        "refine": refine,
        "tiles": tiles,
        "min_quality": min_quality,
    }
    try:
        job = Job(
            open_source(source, id_column, image_column),
            out,
            url or [settings.url or settings.http_url],
            {name: value for name, value in options.items() if value is not None},
            Shard.parse(shard),
            concurrency,
            part,
            patience,
            key_headers(),
        )
        _run(job)
    except UsageError as error:
        raise CommandError(USAGE, str(error)) from None
    except ServiceDownError as error:
        then = key_remedy(error.__cause__) or "The same command continues."
        raise CommandError(UNREACHABLE, f"cannot use the face service: {error}\n{then}") from None


def _run(job: Job) -> None:
    from rich.console import Console

    from aurum.bulk.run import Tally, run
    from aurum.cli.progress import bulk

    tally = Tally()
    try:
        with bulk(Console(stderr=True)) as progress:
            asyncio.run(run(job, tally, progress, print_stderr))
    except asyncio.CancelledError:
        raise CommandError(
            FAILED, f"stopped after {tally.photos} photos; the same command continues"
        ) from None
    print(f"{job.folder}: {_told(tally)}")
    if tally.left_out:
        some = f", such as {', '.join(map(repr, tally.twice))}" if tally.twice else ""
        print_stderr(
            f"{tally.left_out} photos were left out: they have no id, or that of another one{some}"
        )


def _told(tally: Tally) -> str:
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.failed.items()))
    failed = sum(tally.failed.values())
    return (
        f"{tally.photos} photos with {tally.faces} faces, {failed} failed"
        + (f" ({codes})" if codes else "")
        + (f"; {tally.earlier} were done before" if tally.earlier else "")
    )


@bulk.command()
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Show what a folder holds: models, photos, faces, failures, by shard."""
    with optional_packages("backfill"):
        from aurum.bulk.status import status
    found = status(folder)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    manifest = found.manifest
    options = ", ".join(f"{name}={value}" for name, value in manifest.options.items())
    print(f"models:   {manifest.detector}, {manifest.embedder}")
    print(f"options:  {options or 'the defaults of the service'}")
    print(f"photos:   {found.photos}, {found.without} of them without a face")
    print(f"faces:    {found.faces}, {found.bytes / 1e6:.1f} MB in {found.parts} parts")
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(found.failures.items()))
    print(f"failures: {codes or 'none'}")
    if manifest.shards > 1:
        for index in range(manifest.shards):
            print(f"shard {index}:  {found.shards.get(str(index), 0)} photos")


@bulk.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Output of an earlier run.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Output of a later run.", show_default=False)],
    sample: Annotated[
        int, typer.Option(min=1, max=10_000, help="Faces whose neighbours are compared.")
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show what a change of models moved: photos that lost or gained faces, other neighbours.

    Neighbours are exact: each of the sampled faces searches among all faces that both runs found
    fit for recognition.
    """
    with optional_packages("backfill"):
        from aurum.bulk.diff import diff
    from aurum.bulk import UsageError

    try:
        found = diff(old, new, sample)
    except UsageError as error:
        raise CommandError(USAGE, str(error)) from None
    print(json.dumps(asdict(found)) if as_json else _difference(found))


def _difference(found: Difference) -> str:
    lines = [
        f"models:     {found.old.detector}, {found.old.embedder}",
        f"            -> {found.new.detector}, {found.new.embedder}",
        f"photos:     {found.photos} in both, {found.only_old} only in the old run, "
        f"{found.only_new} only in the new one",
        f"faces:      {found.paired} in both; {found.lost} lost in {found.lost_photos} photos, "
        f"{found.gained} gained in {found.gained_photos} photos",
        f"neighbours: {found.moved} of {found.sampled} faces have another nearest neighbour"
        + ("" if found.moved_matches is None else f", {found.moved_matches} of them a match"),
    ]
    lines += [f"  {one.id}: -{one.lost} +{one.gained} faces" for one in found.changed]
    for moved in found.examples:
        face, before, after = (
            f"{name}#{number}" for name, number in (moved.face, moved.before, moved.after)
        )
        lines.append(
            f"  {face}: {before} ({moved.before_similarity:.3f}) -> "
            f"{after} ({moved.after_similarity:.3f})"
        )
    return "\n".join(lines)
