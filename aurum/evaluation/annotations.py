"""Read annotated faces from three text formats.

- CSV with a header: `file,x,y,width,height`, optionally `x1,y1,...,x5,y5` (landmarks) and `ignore`
  (1: the face counts neither as missed nor as a false positive). A photo without faces is a line
  with only `file`.
- JSON Lines: `{"file": "a.jpg", "faces": [{"box": [x, y, width, height],
  "landmarks": [[x, y] * 5], "ignore": false}]}`; only `box` is required.
- WIDER FACE's `wider_face_*_bbx_gt.txt` (Yang et al., 2016): file, number of faces, then a line of
  `x y width height blur expression illumination invalid occlusion pose` for each.

Coordinates are pixels of the upright photo; landmarks are in the service's order: image-left eye,
image-right eye, nose, image-left and image-right corner of the mouth.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, read_text

POINTS = [f"{axis}{index}" for index in range(1, 6) for axis in "xy"]


class Marked(NamedTuple):
    """The faces of one photo."""

    boxes: NDArray[np.float64]  # [F,4] x, y, width, height in pixels
    landmarks: NDArray[np.float64]  # [F,5,2] pixels; NaN if not annotated
    ignore: NDArray[np.bool_]  # [F] counts neither as missed nor as a false positive

    @classmethod
    def of(cls, faces: Iterable[tuple[Any, Any, bool]]) -> Marked:
        """Build from (box, landmarks or None, ignore) of each face."""
        rows = list(faces)
        none = np.full((5, 2), np.nan)
        return cls(
            np.array([row[0] for row in rows], np.float64).reshape(-1, 4),
            np.array([none if row[1] is None else row[1] for row in rows]).reshape(-1, 5, 2),
            np.array([row[2] for row in rows], bool),
        )


def read(path: Path) -> dict[str, Marked]:
    """Read the faces of each photo, by its name; the file's suffix gives the format.

    Raises ValidationError, which names the line.
    """
    readers = {".csv": _csv, ".jsonl": _json_lines, ".txt": _wider}
    if path.suffix not in readers:
        raise ValidationError(f"{path}: annotations must be {', '.join(readers)} files")
    return readers[path.suffix](path)


def write(path: Path, marked: Mapping[str, Marked]) -> None:
    """Write JSON Lines that `read` can read."""
    with path.open("w", encoding="utf-8") as file:
        for name, faces in marked.items():
            rows = [
                {
                    "box": box.round(3).tolist(),
                    **({} if np.isnan(points).any() else {"landmarks": points.round(3).tolist()}),
                    **({"ignore": True} if ignore else {}),
                }
                for box, points, ignore in zip(*faces, strict=True)
            ]
            file.write(json.dumps({"file": name, "faces": rows}) + "\n")


def _csv(path: Path) -> dict[str, Marked]:
    faces: dict[str, list[tuple[Any, Any, bool]]] = {}
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        if "file" not in (reader.fieldnames or ()):
            raise ValueError("the first line must be `file,x,y,width,height`, or more columns")
        for row in reader:
            own = faces.setdefault(row["file"], [])
            if not row["x"]:
                continue
            box = [float(row[name]) for name in ("x", "y", "width", "height")]
            points = None
            if row.get(POINTS[0]):
                points = np.array([float(row[name]) for name in POINTS]).reshape(5, 2)
            own.append((box, points, row.get("ignore") == "1"))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValidationError(f"{path}, line {reader.line_num}: {error!r}") from None
    return {name: Marked.of(rows) for name, rows in faces.items()}


def _json_lines(path: Path) -> dict[str, Marked]:
    found = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            record = json.loads(line)
            found[record["file"]] = Marked.of(
                (face["box"], face.get("landmarks"), bool(face.get("ignore")))
                for face in record["faces"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValidationError(f"{path}, line {number}: {error!r}") from None
    return found


def _wider(path: Path) -> dict[str, Marked]:
    lines = read_text(path).splitlines()
    found: dict[str, Marked] = {}
    at = 0
    try:
        while at < len(lines):
            name, count = lines[at].strip(), int(lines[at + 1])
            at += 2
            faces = []
            # A photo without faces still has one line of zeros.
            for line in lines[at : at + max(1, count)]:
                numbers = [int(word) for word in line.split()]
                if count:
                    box, invalid = numbers[:4], numbers[7]
                    faces.append((box, None, bool(invalid) or min(box[2:]) <= 0))
            if len(faces) < count:
                raise ValueError(f"{name} has fewer than {count} lines")
            found[name] = Marked.of(faces)
            at += max(1, count)
    except (IndexError, ValueError) as error:
        raise ValidationError(f"{path}, near line {at + 1}: {error}") from None
    return found
