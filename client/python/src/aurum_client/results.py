"""What the calls return: frozen, with the arrays of the wire and faces to iterate over.

Coordinates are pixels of the upright photo (its EXIF rotation applied), origin at the top left,
x to the right, y down. Faces come largest first. All arrays are read-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from aurum_client._contract import RECOGNIZABLE
from aurum_client.calibration import Calibration
from aurum_client.errors import AurumError

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]

NOT_TOLD: Ints = np.zeros(0, np.int32)  # of each face, by servers of version 0.1.0
NOT_TOLD.flags.writeable = False
_CROWD = 20  # faces
_SMALL = 40  # pixels of the detector's input: smaller faces are often missed


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; ``x`` and ``y`` are its top left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ModelIds:
    """Which models made a result, as ``name@12hex``; None for one that took no part."""

    detector: str | None
    embedder: str | None

    @property
    def simulated(self) -> bool:
        """True if any of them only simulates a model: the faces are made up."""
        return any(name.startswith("simulated") for name in (self.detector, self.embedder) if name)


class QualityParts(NamedTuple):
    """What a face's quality is made of; docs/design/quality.md of the service has formulas and
    sources.

    ``resolution``: pixels between the eyes. ``sharpness``, ``exposure``, ``frontality``,
    ``confidence``: 0 to 1, the more the better. ``contrast``: 0 to 0.5. ``symmetry``,
    ``visibility``: -1 to 1, the more the better. ``noise``: gray levels. ``yaw``, ``pitch``,
    ``roll``: degrees; positive looks to the photo's right, up, and leans clockwise. ``misfit``:
    pixels of the crop. ``border_cut``: 0 to 1, the share of the box outside the photo. ``norm``:
    the embedding's length before it was normalized. ``recognizability``: how far the embedding is
    from those of faces that nobody recognizes, the more the better; 0 for embedders of which that
    is not known.
    """

    resolution: float
    sharpness: float
    noise: float
    exposure: float
    contrast: float
    yaw: float
    pitch: float
    roll: float
    frontality: float
    symmetry: float
    visibility: float
    misfit: float
    border_cut: float
    confidence: float
    norm: float
    recognizability: float


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face.

    ``landmarks``: float32 [5, 2], x and y of the image-left eye, image-right eye, nose,
    image-left and image-right corner of the mouth, with left and right as the upright face has
    them. ``score``: the detector's confidence, 0 to 1. ``embedding``: float32 [512] of length 1,
    or None after ``detect``. ``quality``: how fit for recognition it is, 0 to 1, and what that is
    made of; both None after ``detect``. ``rotation``: 0, 90, 180 or 270, the degrees clockwise by
    which to turn the photo so that the face is upright. ``recognizable``: whether so much of it
    can be seen that a comparison means something; None where that is not told. ``defect``: the
    field of :class:`QualityParts` that says why it is not recognizable, else None.
    """

    bbox: Box
    landmarks: Floats = field(repr=False)
    score: float
    embedding: Floats | None = field(default=None, repr=False)
    quality: float | None = None
    quality_parts: QualityParts | None = field(default=None, repr=False)
    rotation: int = 0
    recognizable: bool | None = None
    defect: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Faces(Sequence[Face]):
    """The faces of one photo, the largest first; a sequence of :class:`Face`, maybe empty.

    ``boxes``: float32 [F, 4], x, y, width, height. ``landmarks``: float32 [F, 5, 2].
    ``scores``: float32 [F], 0 to 1. ``image_size``: width and height of the upright photo.
    ``rotations``: int32 [F], as :attr:`Face.rotation`. ``complete``: False where the server knows
    that it may have left out faces. Servers of version 0.1.0 tell neither: 0 and True.
    """

    boxes: Floats
    landmarks: Floats = field(repr=False)
    scores: Floats
    image_size: tuple[int, int]
    models: ModelIds
    rotations: Ints = field(default_factory=lambda: NOT_TOLD, kw_only=True)
    complete: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if self.rotations is NOT_TOLD:
            upright = np.zeros(len(self.scores), np.int32)
            upright.flags.writeable = False
            object.__setattr__(self, "rotations", upright)

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> list[Face]: ...
    def __getitem__(self, index: int | slice) -> Face | list[Face]:
        if isinstance(index, slice):
            return [self._face(i) for i in range(*index.indices(len(self)))]
        return self._face(index)

    def __iter__(self) -> Iterator[Face]:
        return (self._face(i) for i in range(len(self)))

    def may_miss_some(self, detection_size: int, tiles: int = 0) -> bool:
        """Whether a larger ``detection_size`` or more ``tiles`` may well find more faces.

        Both as they were asked for, in pixels and 0 to 16. True where the answer is not
        ``complete``, and for a crowd: 20 faces or more, in a photo that was shrunk for the
        detector, half of them smaller than 40 pixels of its input.
        """
        if not self.complete:
            return True
        # So many tiles show the photo enlarged by about their root.
        scale = detection_size * max(tiles, 1) ** 0.5 / max(self.image_size)
        if scale >= 1 or len(self) < _CROWD:
            return False
        return bool(np.median(self.boxes[:, 2:].max(axis=1)) * scale < _SMALL)

    def _face(self, index: int) -> Face:
        box = Box(*self.boxes[index].tolist())
        return Face(
            box,
            self.landmarks[index],
            float(self.scores[index]),
            rotation=int(self.rotations[index]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Analysis(Faces):
    """:class:`Faces` with their embeddings and their quality.

    ``embeddings``: float32 [F, 512], each row of length 1. ``quality``: float32 [F], 0 to 1.
    ``quality_parts``: float32 [F, 16], columns as the fields of :class:`QualityParts`.
    ``calibration``: what similarities of these embeddings mean; None where that is not known, or
    there is no face. ``gate``: int32 [F], -1 for a face that is recognizable, else the column of
    ``quality_parts`` that says why it is not; [0] where the server can't tell that of its embedder.
    """

    embeddings: Floats = field(repr=False)
    quality: Floats
    quality_parts: Floats = field(repr=False)
    calibration: Calibration | None = field(repr=False)
    gate: Ints = field(default_factory=lambda: NOT_TOLD, kw_only=True, repr=False)

    @property
    def quality_calibrated(self) -> bool:
        """Whether ``quality`` is a probability: of being recognized, at a false accept rate of
        1e-3, beside a good photo of the same person. Otherwise it only orders faces.
        """
        return len(self.gate) > 0

    def _face(self, index: int) -> Face:
        column = int(self.gate[index]) if len(self.gate) else None
        return replace(
            # Not super(): without arguments it doesn't know a class that slots=True made anew.
            Faces._face(self, index),
            embedding=self.embeddings[index],
            quality=float(self.quality[index]),
            quality_parts=QualityParts(*self.quality_parts[index].tolist()),
            recognizable=None if column is None else column == RECOGNIZABLE,
            defect=None if column in (None, RECOGNIZABLE) else QualityParts._fields[column],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The embedding of one face.

    ``vector``: float32 [512] of length 1. ``face``: where that face is (for an aligned crop, the
    whole crop), with the same vector as its embedding. ``image_size``: width, height.
    ``calibration``: what similarities to it mean, None where that is not known. ``complete``: as
    :attr:`Faces.complete`.

    One that you kept can be made anew from its vector, its ``models`` and its ``calibration``, with
    a :class:`Face` of what else you kept; without ``recognizable`` it compares, ungated.
    """

    vector: Floats = field(repr=False)
    face: Face
    image_size: tuple[int, int]
    models: ModelIds
    calibration: Calibration | None = field(default=None, repr=False)
    complete: bool = True

    @property
    def quality(self) -> float | None:
        """The face's quality; None from a server of version 0.1.0."""
        return self.face.quality

    @property
    def quality_parts(self) -> QualityParts | None:
        """What the face's quality is made of."""
        return self.face.quality_parts

    @property
    def recognizable(self) -> bool | None:
        """As :attr:`Face.recognizable`."""
        return self.face.recognizable

    @property
    def defect(self) -> str | None:
        """As :attr:`Face.defect`."""
        return self.face.defect

    @property
    def quality_calibrated(self) -> bool:
        """As :attr:`Analysis.quality_calibrated`."""
        return self.face.recognizable is not None


@dataclass(frozen=True, slots=True)
class Health:
    """How the server is, from its own word and from one real inference.

    ``latency``: seconds that the inference of a tiny image took, None if it failed.
    ``models``: who answered it, None if it failed. ``error``: the first thing that went wrong.
    """

    live: bool
    ready: bool
    latency: float | None
    models: ModelIds | None
    error: AurumError | None

    @property
    def ok(self) -> bool:
        """Live, ready, and proven to infer."""
        return self.live and self.ready and self.latency is not None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model; a size of -1 in ``shape`` may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One of the server's public models, from Triton's metadata.

    ``versions`` is empty and ``ready`` False where the server does not have it. ``id`` is the
    ``name@12hex`` that answers behind ``face_detection`` or ``face_embedding``; None for the
    pipelines, and where no answer came.
    """

    name: str
    versions: tuple[str, ...]
    ready: bool
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    id: str | None = None
