"""Send each photo to the service once, and store the raw answers so that a rerun continues."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aurum_client import Analysis, AurumError, Faces
from numpy.typing import NDArray

from aurum import batch
from aurum.evaluation import ValidationError
from aurum.evaluation.target import Target

FILE = "answers.sqlite"


class Photo(NamedTuple):
    """A photo with a unique name. `load` returns the encoded file when it is needed."""

    name: str
    load: Callable[[], bytes]


class Answer(NamedTuple):
    """The service's answer as arrays. `embeddings` is [F,0] if none were requested."""

    image_size: NDArray[np.int32]  # [2] width, height in pixels
    boxes: NDArray[np.float32]  # [F,4] x, y, width, height in pixels
    landmarks: NDArray[np.float32]  # [F,5,2] pixels
    scores: NDArray[np.float32]  # [F] 0..1
    embeddings: NDArray[np.float32]  # [F,512] of length 1
    passes: NDArray[np.bool_]  # [F] False: the gate says that the face can't be recognized
    liveness: NDArray[np.float32]  # [F] 0..1; [0] if the service doesn't score it

    @property
    def faces(self) -> int:
        """Number of faces."""
        return len(self.scores)


class AnswerStore:
    """Answers on disk, by the photo's bytes and the request's options.

    SQLite writes an answer atomically, even if the run is killed. Answers of another service
    (`identity`) are dropped.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = folder / FILE
        with self._named():
            self._base = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            try:
                self._prepare(identity)
            except sqlite3.Error:
                self._base.close()
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the file in an error of SQLite, such as "database or disk is full"."""
        try:
            yield
        except sqlite3.Error as error:
            raise ValidationError(f"{self._path} can't be used: {error}") from None

    def _prepare(self, identity: str) -> None:
        """Create the tables, and drop the answers of another service."""
        # A crash of the machine may lose the last answers; a rerun requests them again.
        self._base.execute("PRAGMA synchronous=OFF")
        identity = f"{identity}: {', '.join(Answer._fields)}"
        self._base.execute("CREATE TABLE IF NOT EXISTS service (identity TEXT)")
        self._base.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, data BLOB)")
        if self._base.execute("SELECT identity FROM service").fetchall() != [(identity,)]:
            self._base.execute("DELETE FROM answers")
            self._base.execute("DELETE FROM service")
            self._base.execute("INSERT INTO service VALUES (?)", (identity,))

    def get(self, key: str) -> Answer | None:
        """Return the stored answer, if any."""
        with self._lock, self._named():
            row = self._base.execute("SELECT data FROM answers WHERE key=?", (key,)).fetchone()
        if row is None:
            return None
        with np.load(io.BytesIO(row[0])) as data:
            return Answer(*(data[name] for name in Answer._fields))

    def put(self, key: str, answer: Answer) -> None:
        """Store an answer."""
        buffer = io.BytesIO()
        np.savez(buffer, **answer._asdict())
        with self._lock, self._named():
            self._base.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, buffer.getvalue())
            )

    def close(self) -> None:
        """Close the database."""
        self._base.close()


def everything(
    target: Target,
    photos: Sequence[Photo],
    out: Path,
    *,
    embed: bool = False,
    concurrency: int = 4,
    **options: Any,
) -> Iterator[tuple[str, Answer | AurumError]]:
    """Yield each photo's answer or error, in order; `options` are the client's.

    Raises an AurumError that would also occur for every further photo.
    """
    store = AnswerStore(out, target.identity)
    with target.client() as client:
        call = client.analyze if embed else client.detect
        request = json.dumps([embed, options], sort_keys=True)

        def ask(photo: Photo) -> Answer:
            return _ask(store, photo.load(), request, lambda data: call(data, **options))

        try:
            for photo, answer in batch.answers(photos, ask, concurrency):
                if not isinstance(answer, Answer | AurumError):
                    raise answer  # the photo itself can't be read or generated
                yield photo.name, answer
        finally:
            store.close()


def _ask(store: AnswerStore, data: bytes, request: str, call: Callable[[bytes], Faces]) -> Answer:
    key = hashlib.sha256(request.encode() + data).hexdigest()
    answer = store.get(key)
    if answer is None:
        answer = as_answer(call(data))
        store.put(key, answer)
    return answer


def as_answer(faces: Faces) -> Answer:
    """Convert the client's result to plain arrays."""
    none = np.empty((len(faces), 0), np.float32)
    return Answer(
        np.array(faces.image_size, np.int32),
        faces.boxes,
        faces.landmarks,
        faces.scores,
        faces.embeddings if isinstance(faces, Analysis) else none,
        np.array([face.recognizable is not False for face in faces], bool),
        faces.liveness if isinstance(faces, Analysis) else np.zeros(0, np.float32),
    )
