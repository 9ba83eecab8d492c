"""``aurum detect``, ``embed`` and ``compare``: photos to the service, answers to stdout."""

# ruff: noqa: PLC0415 - the client and numpy are imported where they are needed, to start fast

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aurum.cli import FAILED, USAGE, CommandError, complain, concerns_all, draw, service
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import Embedding, Face, Faces, ModelIds

T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
LANDMARKS = ("image_left_eye", "image_right_eye", "nose", "image_left_mouth", "image_right_mouth")
SHOWN_NUMBERS = 4  # of an embedding

Photos = Annotated[
    list[Path],
    typer.Argument(
        metavar="PHOTO...",
        help="Photos, or folders to search for *.jpg, *.jpeg, *.png and *.webp; hidden ones are "
        "left out.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line and photo.")]
Url = Annotated[
    str | None,
    typer.Option(help="The service: http(s):// or grpc(s)://. Default: AURUM_URL, else this machine's."),
]
Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Photos sent at the same time.")]


def detect(
    paths: Photos,
    folder: Annotated[
        Path | None,
        typer.Option("--draw", metavar="DIR", help="Write the photos with the faces marked there."),
    ] = None,
    as_json: AsJson = False,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="The least score of a face.")
    ] = None,
    max_faces: Annotated[
        int | None, typer.Option(min=0, help="At most so many faces, the largest; 0: all.")
    ] = None,
    detection_size: Annotated[
        int | None,
        typer.Option(min=32, help="Long side in pixels for detection, a multiple of 32."),
    ] = None,
    url: Url = None,
    concurrency: Concurrency = 4,
) -> None:
    """Find the faces in photos: boxes, five landmarks and scores, the largest face first."""
    settings = Settings.from_env()
    photos = find(paths)
    targets = draw.targets(photos, folder) if folder else {}
    failed = False
    with service(url, settings) as client:

        def ask(path: Path) -> Faces:
            faces = client.detect(
                path,
                min_confidence=min_confidence,
                max_faces=max_faces,
                detection_size=detection_size,
            )
            if path in targets:
                draw.save(path, faces, targets[path], settings)
            return faces

        for path, faces in answers(photos, ask, concurrency):
            if isinstance(faces, Exception):
                failed = True
                _print_failure(path, faces, as_json)
            elif as_json:
                drawn = {"drawn": str(targets[path])} if targets else {}
                _print_json({"path": str(path), **_faces_record(faces), **drawn})
            else:
                print(_faces_text(path, faces), flush=True)
    raise typer.Exit(FAILED if failed else 0)


def embed(
    paths: Photos,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The photos are aligned crops: embed them as they are.")
    ] = False,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Keep `paths`, `embeddings` and the `model`'s id for NumPy."
        ),
    ] = None,
    url: Url = None,
    concurrency: Concurrency = 4,
) -> None:
    """Embed the largest face of each photo: 512 numbers, whose vector has length 1."""
    if out and not out.parent.is_dir():
        raise CommandError(USAGE, f"--out: there is no folder {out.parent}")
    kept: list[tuple[Path, Embedding]] = []
    photos = find(paths)
    failed = False
    try:
        with service(url, Settings.from_env()) as client:
            ask = lambda path: client.embed(path, aligned=aligned)  # noqa: E731
            for path, embedding in answers(photos, ask, concurrency):
                if isinstance(embedding, Exception):
                    failed = True
                    _print_failure(path, embedding, as_json)
                    continue
                if out:
                    _check_same_model([*kept[-1:], (path, embedding)])
                    kept.append((path, embedding))
                if as_json:
                    _print_json({"path": str(path), **_embedding_record(embedding)})
                else:
                    print(_embedding_text(path, embedding), flush=True)
    finally:
        if out and kept:  # also when the service went away in the middle
            _save(out, kept)
    raise typer.Exit(FAILED if failed else 0)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    url: Url = None,
) -> None:
    """Compare the largest faces of two photos: the cosine similarity, from -1 to 1."""
    from aurum_client import Comparison

    with service(url, Settings.from_env()) as client:
        both = list(answers([a, b], client.embed, concurrency=2))
        for path, embedding in both:
            if isinstance(embedding, Exception):
                _print_failure(path, embedding, as_json)
        found = [embedding for _, embedding in both if not isinstance(embedding, Exception)]
        if len(found) < len(both):
            raise typer.Exit(FAILED)
        comparison = Comparison.between(*found)
    if as_json:
        sides = [
            {"path": str(path), "image_size": list(side.image_size), "face": _face_record(side.face)}
            for path, side in zip((a, b), found, strict=True)
        ]
        _print_json(
            {
                "similarity": _rounded(comparison.similarity),
                "a": sides[0],
                "b": sides[1],
                "models": _models_record(comparison.a.models),
            }
        )
        return
    models = comparison.a.models
    print(f"similarity {comparison.similarity:.4f}")
    for path, side in zip((a, b), found, strict=True):
        print(f"  {_face_text(side.face)}  {path}")
    print(f"detector {models.detector}, embedder {models.embedder}")


def find(paths: Sequence[Path]) -> list[Path]:
    """The photos that `paths` name, each once: files as given, then what is in each folder, sorted.

    A path that does not exist is left in: it is reported like any photo that can't be read.
    Raises CommandError if there is no photo.
    """
    found = [
        photo for path in paths for photo in (_in_folder(path) if path.is_dir() else [path])
    ]
    if not found:
        raise CommandError(
            USAGE, f"no photo ({', '.join(SUFFIXES)}) in {', '.join(map(str, paths))}"
        )
    return list(dict.fromkeys(found))


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def answers(
    photos: Sequence[Path], ask: Callable[[Path], T], concurrency: int
) -> Iterator[tuple[Path, T | Exception]]:
    """What `ask` says of each photo, or the photo's error, in order and as soon as it is known.

    A few photos are asked for ahead, never all. Raises the AurumError that concerns every photo.
    """
    from aurum_client import AurumError

    pending: deque[tuple[Path, Future[T]]] = deque()

    def oldest() -> tuple[Path, T | Exception]:
        path, future = pending.popleft()
        try:
            return path, future.result()
        except AurumError as error:
            if concerns_all(error):
                raise
            return path, error
        except draw.DrawError as error:
            return path, error

    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for path in _with_progress(photos):
                pending.append((path, pool.submit(ask, path)))
                if len(pending) > 2 * concurrency:
                    yield oldest()
            while pending:
                yield oldest()
        finally:
            for _, future in pending:
                future.cancel()


def _with_progress(photos: Sequence[Path]) -> Iterable[Path]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if len(photos) < 2 or not console.is_terminal:
        return photos
    return track(photos, "photos", console=console, transient=True)


def _check_same_model(rows: Sequence[tuple[Path, Embedding]]) -> None:
    from aurum_client import Comparison

    Comparison.between(rows[0][1], rows[-1][1])  # raises ModelMismatchError


def _save(out: Path, rows: Sequence[tuple[Path, Embedding]]) -> None:
    import numpy as np

    with out.open("wb") as file:  # by its name, NumPy would append .npz
        np.savez(
            file,
            paths=np.array([str(path) for path, _ in rows]),
            embeddings=np.stack([embedding.vector for _, embedding in rows]),
            model=np.array(rows[0][1].models.embedder),
        )
