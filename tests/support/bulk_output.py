"""Write a folder as `aurum bulk run` does, and make embeddings for it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from aurum_client import FARS, Box, Embedding, Face, FaceClient, ModelIds

DETECTOR, EMBEDDER = "yunet@aaaaaaaaaaaa", "edgeface@bbbbbbbbbbbb"
ROW = [0.2, 0.3, 0.4, 20, -8, 0.5]
KINDS = {
    "id": pa.string(),
    "face": pa.int32(),
    "box": pa.list_(pa.float32(), 4),
    "landmarks": pa.list_(pa.float32(), 10),
    "score": pa.float32(),
    "quality": pa.float32(),
    "parts": pa.list_(pa.float32(), 16),
    "gate": pa.string(),
    "rotation": pa.int32(),
    "embedding": pa.list_(pa.float32(), 512),
    "detector": pa.string(),
    "embedder": pa.string(),
    "calibration": pa.list_(pa.float32()),
}


def vectors(count, seed=0):
    """Return random embeddings, float32 [count,512], hardly alike (cosine within +-0.25)."""
    drawn = np.random.default_rng(seed).standard_normal((count, 512)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def like(vector, similarity, seed=1):
    """Return an embedding with this cosine to another."""
    (other,) = vectors(1, seed)
    other = other - (other @ vector) * vector
    other /= np.linalg.norm(other)
    return (similarity * vector + np.sqrt(1 - similarity**2) * other).astype(np.float32)


def row(photo, embedding, **changed):
    """Return one face's row; `changed` overrides its columns."""
    return {
        "id": photo,
        "face": 0,
        "box": [10, 10, 90, 110],
        "landmarks": [0] * 10,
        "score": 0.9,
        "quality": 0.97,
        "parts": [0] * 16,
        "gate": None,
        "rotation": 0,
        "embedding": embedding,
        "detector": DETECTOR,
        "embedder": EMBEDDER,
        "calibration": ROW,
    } | changed


def write(folder, rows, parts=1, calibration=ROW, models=(DETECTOR, EMBEDDER), **header):
    """Write the output with these rows in several files; return its folder."""
    (folder / "faces").mkdir(parents=True)
    names = {"detector": models[0], "embedder": models[1]}
    record = {"version": 1, **names, "calibration": calibration, **header}
    (folder / "bulk.json").write_text(json.dumps(record))
    for part in range(parts):
        some = rows[part::parts]
        columns = {
            name: pa.array([one[name] for one in some], kind) for name, kind in KINDS.items()
        }
        pq.write_table(pa.table(columns), folder / "faces" / f"part-{part:05}.parquet")
    return folder


def of_photos(service, folder, photos):
    """Write what `aurum bulk run` would, from the service's own answers."""
    rows = []
    with FaceClient(service.urls[0], timeout=60) as client:
        for name, path in photos.items():
            answer = client.analyze(path)
            for number, face in enumerate(answer):
                rows.append(
                    row(
                        name,
                        face.embedding,
                        face=number,
                        quality=face.quality,
                        gate=face.defect,
                        detector=answer.models.detector,
                        embedder=answer.models.embedder,
                    )
                )
    known = answer.calibration
    calibration = known and [
        *(known.thresholds[far] for far in FARS),
        *(known.slope, known.intercept, known.prior),
    ]
    models = (answer.models.detector, answer.models.embedder)
    return write(folder, rows, calibration=calibration, models=models)


def face(vector, embedder=EMBEDDER, **judged):
    """Return an embedding as the client does; `judged` overrides its quality fields."""
    good = {"quality": 0.97, "recognizable": True}
    found = Face(Box(10, 10, 90, 110), np.zeros((5, 2), np.float32), 0.9, vector, **good | judged)
    return Embedding(vector, found, (200, 200), ModelIds(DETECTOR, embedder))


def files_with(folder, data):
    """Return the files below `folder` that contain these bytes."""
    return [path for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]
