"""What an output folder holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from aurum.bulk import output
from aurum.bulk.output import Manifest


@dataclass
class Status:
    """Counts over all finished parts. `bytes`: size of the faces' table on disk."""

    manifest: Manifest
    photos: int = 0
    without: int = 0  # answered, but no face
    faces: int = 0
    parts: int = 0
    bytes: int = 0
    failures: dict[str, int] = field(default_factory=dict)  # by code
    shards: dict[str, int] = field(default_factory=dict)  # photos, by the shard's index


def status(folder: Path) -> Status:
    """Count what is done, also while a run is writing. Raises BulkError."""
    found = Status(output.read_manifest(folder))
    failures, shards = Counter[str](), Counter[str]()
    for path in output.parts(folder, output.PHOTOS):
        found.parts += 1
        found.bytes += (folder / "faces" / path.name).stat().st_size
        for batch in output.read(path, ["faces", "code"]):
            counts, codes = (column.to_pylist() for column in batch.columns)
            found.photos += len(counts)
            found.faces += sum(counts)
            failures.update(code for code in codes if code is not None)
            found.without += sum(
                not count and code is None for count, code in zip(counts, codes, strict=True)
            )
            shards[path.name.split("-")[0]] += len(counts)
    found.failures, found.shards = dict(failures), dict(shards)
    return found
