"""``aurum detect``, ``embed`` and ``compare``: send photos to the service, print its answers."""

# ruff: noqa: PLC0415 - the client and numpy are imported only where needed, for a fast start

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurum.batch import SUFFIXES, answers, find
from aurum.cli import (
    FAILED,
    UNRECOGNIZABLE,
    USAGE,
    CommandError,
    draw,
    print_stderr,
    service,
    show,
)
from aurum.contract import ORIENTATIONS
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import Embedding, Faces

Photos = Annotated[
    list[Path],
    typer.Argument(
        metavar="PHOTO",
        help=f"Photos, or folders to search for {', '.join(f'*{end}' for end in SUFFIXES)}. What "
        "is skipped there is counted on stderr.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per photo, one per line.")
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Address of the service, http(s):// or grpc(s)://. Default: AURUM_URL, or the "
        "service that `aurum up` starts."
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(ORIENTATIONS),
        help="auto: if no upright face is found, search the turned photo, too; exif: trust the "
        "EXIF orientation. Default: the service's setting.",
    ),
]
Refine = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        help="Run the detector once more on each face, for steadier landmarks. Default: the "
        "service's setting.",
        show_default=False,
    ),
]
MinQuality = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Refuse faces of lower quality. Default: refuse none."),
]
MinConfidence = Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score of a face.")]
MaxFaces = Annotated[
    int | None, typer.Option(min=0, help="Most faces to return, largest first; 0: all.")
]
DetectionSize = Annotated[
    int | None,
    typer.Option(min=32, help="Long side for detection in pixels, a multiple of 32."),
]
Tiles = Annotated[
    int | None,
    typer.Option(
        min=0, help="Also search this many overlapping parts of the photo (crowds); at most 16."
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Requests in flight at a time.")]


def detect(
    paths: Photos,
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--draw", metavar="DIR", help="Write copies of the photos with marked faces here."
        ),
    ] = None,
    as_json: AsJson = False,
    min_confidence: MinConfidence = None,
    max_faces: MaxFaces = None,
    detection_size: DetectionSize = None,
    orientation: Orientation = None,
    refine: Refine = None,
    tiles: Tiles = None,
    url: Url = None,
    concurrency: Concurrency = 4,
) -> None:
    """Detect faces in photos: boxes, five landmarks and scores, largest face first."""
    settings = Settings.from_env()
    photos = find(paths, print_stderr)
    targets = draw.targets(photos, folder) if folder else {}
    failed = False
    with service(url, settings) as client:

        def ask(path: Path) -> Faces:
            faces = client.detect(
                path,
                min_confidence=min_confidence,
                max_faces=max_faces,
                detection_size=detection_size,
                orientation=orientation,
                refine=refine,
                tiles=tiles,
            )
            if targets:
                draw.save(path, faces, targets[path], settings)
            return faces

        for path, faces in answers(photos, ask, concurrency):
            if isinstance(faces, Exception):
                failed = True
                show.print_failure(path, faces, as_json)
            elif as_json:
                drawn = {"drawn": str(targets[path])} if targets else {}
                show.print_json({"path": str(path), **show.faces_record(faces), **drawn})
            else:
                # The service's defaults are only known if it uses our settings.
                size = detection_size or settings.detection_size
                more = faces.may_miss_some(size, tiles or 0)
                print(show.faces_text(path, faces, more=more), flush=True)
    raise typer.Exit(FAILED if failed else 0)


def embed(
    paths: Photos,
    *,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Treat the photos as aligned crops; detect nothing.")
    ] = False,
    min_quality: MinQuality = None,
    orientation: Orientation = None,
    refine: Refine = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Save paths, embeddings and the model's id for NumPy."
        ),
    ] = None,
    url: Url = None,
    concurrency: Concurrency = 4,
) -> None:
    """Embed the largest face of each photo: a unit vector of 512 numbers, and its quality.

    --out saves `paths` [N], `embeddings` (float32 [N, 512]) and `model` of the photos that have
    an embedding, even if the service stops halfway.
    """
    settings = Settings.from_env()
    photos = find(paths, print_stderr)
    if out and not out.parent.is_dir():
        raise CommandError(USAGE, f"--out {out}: there is no folder {out.parent}")
    kept: dict[Path, Embedding] = {}
    failed = False
    try:
        with service(url, settings) as client:

            def ask(path: Path) -> Embedding:
                return client.embed(
                    path,
                    aligned=aligned,
                    min_quality=min_quality,
                    orientation=orientation,
                    refine=refine,
                )

            for path, answer in answers(photos, ask, concurrency):
                embedding = _keep(path, answer, kept) if out else answer
                if isinstance(embedding, Exception):
                    failed = True
                    show.print_failure(path, embedding, as_json)
                elif as_json:
                    show.print_json({"path": str(path), **show.embedding_record(embedding)})
                else:
                    print(show.embedding_text(path, embedding), flush=True)
    finally:
        if out and kept:
            _save(out, kept)
    raise typer.Exit(FAILED if failed else 0)


def _keep(
    path: Path, answer: Embedding | Exception, kept: dict[Path, Embedding]
) -> Embedding | Exception:
    """Add an embedding to `kept`; return an error if another model made it than the others."""
    from aurum_client import ModelMismatchError

    if isinstance(answer, Exception):
        return answer
    model = answer.models.embedder
    first = next(iter(kept.values()), answer).models.embedder
    if model != first:
        return ModelMismatchError(f"the service changed its embedder from {first} to {model}")
    kept[path] = answer
    return answer


def _save(out: Path, kept: Mapping[Path, Embedding]) -> None:
    import numpy as np

    content = io.BytesIO()
    np.savez(
        content,
        paths=np.array([str(path) for path in kept]),
        embeddings=np.stack([embedding.vector for embedding in kept.values()]),
        model=np.array(next(iter(kept.values())).models.embedder),
    )
    try:
        out.write_bytes(content.getvalue())
    except OSError as error:
        if out.is_file():
            out.unlink()  # half a file would look like a result
        raise CommandError(FAILED, f"--out {out}: {error.strerror}") from error


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    far: Annotated[
        float,
        typer.Option(help="False accept rate of the decision: 1e-4, 1e-3 or 1e-2."),
    ] = 1e-4,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Share of same-person pairs among those you compare, for the probability. "
            "Default: the calibration's, 0.5."
        ),
    ] = None,
    min_quality: MinQuality = None,
    orientation: Orientation = None,
    refine: Refine = None,
    url: Url = None,
) -> None:
    """Compare the largest faces of two photos: their similarity, and whether they show one person.

    The similarity is a cosine, from -1 to 1. Decision and probability come from the embedder's
    calibration (docs/reports/accuracy.md). There are none without a calibration, nor for a face
    that is not recognizable (docs/design/quality.md): it may look just as similar to a stranger.
    """
    from aurum_client import Comparison
    from aurum_client.calibration import check_far, check_prior

    try:
        check_far(far)
        check_prior(prior)
    except ValueError as error:
        raise CommandError(USAGE, f"--{error}") from None
    found = []
    with service(url, Settings.from_env()) as client:

        def ask(path: Path) -> Embedding:
            return client.embed(
                path, min_quality=min_quality, orientation=orientation, refine=refine
            )

        for path, embedding in answers([a, b], ask, concurrency=2):
            if isinstance(embedding, Exception):
                show.print_failure(path, embedding, as_json)
            else:
                found.append(embedding)
        if len(found) < 2:
            raise typer.Exit(FAILED)
        comparison = Comparison.between(*found, far=far, prior=prior)
    if as_json:
        show.print_json(show.comparison_record((a, b), comparison))
    else:
        print(show.comparison_text((a, b), comparison))
    if comparison.decision == "not recognizable":
        raise typer.Exit(UNRECOGNIZABLE)
