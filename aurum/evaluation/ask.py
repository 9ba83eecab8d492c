"""Photos through the service, once each: raw answers are kept, so that a rerun continues."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aurum_client import Analysis, AurumError, Faces
from numpy.typing import NDArray

from aurum import batch
from aurum.evaluation.target import Target

FILE = "answers.sqlite"


class Photo(NamedTuple):
    """A photo by a name of its own. `load` makes the encoded file when its turn comes."""

    name: str
    load: Callable[[], bytes]


class Answer(NamedTuple):
    """The service's answer as arrays. `embeddings` is [F,0] where none were asked for."""

    image_size: NDArray[np.int32]  # [2] width, height in pixels
    boxes: NDArray[np.float32]  # [F,4] x, y, width, height in pixels
    landmarks: NDArray[np.float32]  # [F,5,2] pixels
    scores: NDArray[np.float32]  # [F] 0..1
    embeddings: NDArray[np.float32]  # [F,512] of length 1
    passes: NDArray[np.bool_]  # [F] False: the service says that it can't be recognized

    @property
    def faces(self) -> int:
        """How many."""
        return len(self.scores)


class Kept:
    """Answers on disk, by the photo's bytes and the request's options.

    SQLite, because an answer is written whole or not at all, also when the run is killed. Answers
    of another service (`identity`) are dropped.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._base = sqlite3.connect(folder / FILE, check_same_thread=False, isolation_level=None)
        # A crash of the machine may lose the last answers, which are then asked for again.
        self._base.execute("PRAGMA synchronous=OFF")
        identity = f"{identity}: {', '.join(Answer._fields)}"
        self._base.execute("CREATE TABLE IF NOT EXISTS service (identity TEXT)")
        self._base.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, data BLOB)")
        if self._base.execute("SELECT identity FROM service").fetchall() != [(identity,)]:
            self._base.execute("DELETE FROM answers")
            self._base.execute("DELETE FROM service")
            self._base.execute("INSERT INTO service VALUES (?)", (identity,))

    def get(self, key: str) -> Answer | None:
        """The answer that was kept, if any."""
        with self._lock:
            row = self._base.execute("SELECT data FROM answers WHERE key=?", (key,)).fetchone()
        if row is None:
            return None
        with np.load(io.BytesIO(row[0])) as data:
            return Answer(*(data[name] for name in Answer._fields))

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer."""
        buffer = io.BytesIO()
        np.savez(buffer, **answer._asdict())
        with self._lock:
            self._base.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, buffer.getvalue())
            )

    def close(self) -> None:
        """Close the file."""
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
    """Each photo's answer, or why there is none, in order; `options` are the client's.

    Raises an AurumError that every further photo would meet, too.
    """
    kept = Kept(out, target.identity)
    with target.client() as client:
        call = client.analyze if embed else client.detect
        request = json.dumps([embed, options], sort_keys=True)

        def ask(photo: Photo) -> Answer:
            return _ask(kept, photo.load(), request, lambda data: call(data, **options))

        try:
            for photo, answer in batch.answers(photos, ask, concurrency):
                if isinstance(answer, Answer | AurumError):
                    yield photo.name, answer
        finally:
            kept.close()


def _ask(kept: Kept, data: bytes, request: str, call: Callable[[bytes], Faces]) -> Answer:
    key = hashlib.sha256(request.encode() + data).hexdigest()
    answer = kept.get(key)
    if answer is None:
        answer = as_answer(call(data))
        kept.put(key, answer)
    return answer


def as_answer(faces: Faces) -> Answer:
    """What the client returned, as plain arrays."""
    none = np.empty((len(faces), 0), np.float32)
    return Answer(
        np.array(faces.image_size, np.int32),
        faces.boxes,
        faces.landmarks,
        faces.scores,
        faces.embeddings if isinstance(faces, Analysis) else none,
        np.array([face.recognizable is not False for face in faces], bool),
    )
