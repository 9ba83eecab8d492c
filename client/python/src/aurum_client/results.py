"""The results of the calls: immutable, with numpy arrays and iterable faces.

Coordinates are in pixels of the upright photo (EXIF orientation applied), with the origin at the
top left, x to the right and y down. Faces are sorted by size, largest first. Arrays are read-only.

Results can be pickled and copied (the arrays of a copy are writable), and stored as JSON:
``to_dict`` and ``from_dict``. ``request_id`` is the id under which the server's logs have the
request that the result answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from aurum_client._contract import EMBEDDING_SIZE, LANDMARKS, LIVE_FROM, RECOGNIZABLE
from aurum_client._storage import Storable
from aurum_client.calibration import Calibration
from aurum_client.errors import AurumError

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]

# For a result's fields, with dtype and shape; F is the number of faces.
_PerFace: TypeAlias = Annotated[Floats, (np.float32, -1)]  # [F]
_IntPerFace: TypeAlias = Annotated[Ints, (np.int32, -1)]  # [F]
_Vector: TypeAlias = Annotated[Floats, (np.float32, EMBEDDING_SIZE)]
_Points: TypeAlias = Annotated[Floats, (np.float32, LANDMARKS, 2)]

NOT_REPORTED: Ints = np.zeros(0, np.int32)  # a value per face that a 0.1.0 server does not send
NOT_REPORTED.flags.writeable = False
NOT_SCORED: Floats = np.zeros(0, np.float32)  # liveness, from a server that doesn't serve it
NOT_SCORED.flags.writeable = False
_CROWD = 20  # faces
_SMALL = 40  # pixels of the detector's input; smaller faces are often missed


@dataclass(frozen=True, slots=True)
class Box(Storable):
    """A rectangle in pixels; ``x`` and ``y`` are its top left corner.

    It can extend beyond the photo if the border cuts the face.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ModelIds(Storable):
    """The ids of the models behind a result, as ``name@12hex``; None for an unused model."""

    detector: str | None
    embedder: str | None

    @property
    def simulated(self) -> bool:
        """Whether either model is simulated, which means that the faces are made up."""
        return any(name.startswith("simulated") for name in (self.detector, self.embedder) if name)


class QualityParts(NamedTuple):
    """The measurements behind a face's quality.

    ``resolution``: the distance between the eyes in pixels of the photo. ``sharpness``,
    ``exposure``, ``frontality``, ``confidence``: 0 to 1, higher is better. ``contrast``: 0 to 0.5.
    ``symmetry``, ``visibility``: -1 to 1, higher is better. ``noise``: in gray levels. ``yaw``,
    ``pitch``, ``roll``: degrees; positive values mean looking to the photo's right, looking up and
    leaning clockwise. ``misfit``: the landmark residual in pixels of the crop, 0 to 112.
    ``border_cut``: the fraction of the box outside the photo, 0 to 1. ``norm``: the embedding's
    length before normalization. ``recognizability``: 1 minus the cosine of the embedding and the
    mean of unrecognizable faces, 0 to 2, higher is better; 0 for embedders without that mean.

    Formulas and sources:
    https://github.com/aurum-circle/aurum-face-serving/blob/main/docs/design/quality.md#parts
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
class Face(Storable):
    """One face.

    ``bbox``: its bounding box. ``landmarks``: float32 [5, 2], x and y of the image-left eye,
    image-right eye, nose, image-left mouth corner and image-right mouth corner, where left and
    right refer to the upright face. ``score``: the detector's confidence, 0 to 1. ``embedding``:
    float32 [512] of length 1, or None after ``detect``. ``quality``: fitness for recognition, 0 to
    1, and ``quality_parts``: the measurements behind it; both None after ``detect``. ``rotation``:
    0, 90, 180 or 270, the degrees to rotate the photo clockwise to make the face upright.
    ``recognizable``: whether enough of the face is visible for a meaningful comparison, or None if
    unknown. ``defect``: the field of :class:`QualityParts` that makes the face unrecognizable, or
    None. ``liveness_score``: how likely the face is before the camera rather than a photo of it on
    paper or on a screen, 0 to 1; None unless the server runs with ``AURUM_LIVENESS=1``.
    """

    bbox: Box
    landmarks: _Points = field(repr=False)
    score: float
    embedding: _Vector | None = field(default=None, repr=False)
    quality: float | None = None
    quality_parts: QualityParts | None = field(default=None, repr=False)
    rotation: int = 0
    recognizable: bool | None = None
    defect: str | None = None
    liveness_score: float | None = None

    @property
    def is_live(self) -> bool | None:
        """Whether ``liveness_score`` is at least 0.5; None if the server doesn't score liveness.

        This is advice: some real faces fail it, and some attacks pass it. Error rates:
        https://github.com/aurum-circle/aurum-face-serving/blob/main/docs/guides/liveness.md
        """
        return None if self.liveness_score is None else self.liveness_score >= LIVE_FROM


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedFace(Face):
    """A :class:`Face` of an :class:`Analysis`, which has its embedding and its quality."""

    embedding: _Vector = field(repr=False)
    quality: float
    quality_parts: QualityParts = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Faces(Storable, Sequence[Face]):
    """The faces of one photo, largest first: a sequence of :class:`Face`, possibly empty.

    ``boxes``: float32 [F, 4], x, y, width and height. ``landmarks``: float32 [F, 5, 2], as
    :attr:`Face.landmarks`. ``scores``: float32 [F], 0 to 1. ``image_size``: width and height of the
    upright photo in pixels. ``models``: the models that produced the result. ``rotations``: int32
    [F], as :attr:`Face.rotation`. ``complete``: False if the server knows that it may have missed
    faces. Servers of version 0.1.0 report neither of the last two: they are 0 and True.
    """

    boxes: Annotated[Floats, (np.float32, -1, 4)]
    landmarks: Annotated[Floats, (np.float32, -1, LANDMARKS, 2)] = field(repr=False)
    scores: _PerFace
    image_size: tuple[int, int]
    models: ModelIds
    rotations: _IntPerFace = field(default_factory=lambda: NOT_REPORTED, kw_only=True)
    complete: bool = field(default=True, kw_only=True)
    request_id: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.rotations is NOT_REPORTED:
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
        """Return whether more faces are likely with a larger ``detection_size`` or more ``tiles``.

        Pass the values of the request: ``detection_size`` in pixels, ``tiles`` 0 to 16. The result
        is True if ``complete`` is False, and for a crowd: at least 20 faces in a photo that was
        shrunk for the detector, half of them smaller than 40 pixels of its input.
        """
        if not self.complete:
            return True
        # N tiles enlarge the photo by about the square root of N.
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
    """:class:`Faces` with embeddings and quality: a sequence of :class:`AnalyzedFace`.

    ``embeddings``: float32 [F, 512], each row of length 1. ``quality``: float32 [F], 0 to 1.
    ``quality_parts``: float32 [F, 16], one column per field of :class:`QualityParts`.
    ``calibration``: thresholds and probabilities for these embeddings; None if the embedder is not
    calibrated or there are no faces. ``gate``: int32 [F], -1 for a recognizable face, otherwise the
    column of ``quality_parts`` that makes it unrecognizable; int32 [0] if the server doesn't report
    it for its embedder. ``liveness``: float32 [F], as :attr:`Face.liveness_score`; float32 [0] if
    the server doesn't score it.
    """

    embeddings: Annotated[Floats, (np.float32, -1, EMBEDDING_SIZE)] = field(repr=False)
    quality: _PerFace
    quality_parts: Annotated[Floats, (np.float32, -1, len(QualityParts._fields))] = field(
        repr=False
    )
    calibration: Calibration | None = field(repr=False)
    gate: _IntPerFace = field(default_factory=lambda: NOT_REPORTED, kw_only=True, repr=False)
    liveness: _PerFace = field(default_factory=lambda: NOT_SCORED, kw_only=True, repr=False)

    @property
    def quality_calibrated(self) -> bool:
        """Whether ``quality`` is a probability; otherwise it only ranks faces.

        The probability is that of matching a good photo of the same person at a false accept rate
        of 1e-3.
        """
        return len(self.gate) > 0

    # Not super(): slots=True creates a new class, which super() without arguments misses.
    @overload  # type: ignore[override]  # for a type checker, lists are invariant
    def __getitem__(self, index: int) -> AnalyzedFace: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnalyzedFace]: ...
    def __getitem__(self, index: int | slice) -> AnalyzedFace | list[AnalyzedFace]:
        return Faces.__getitem__(self, index)  # type: ignore[return-value]

    def __iter__(self) -> Iterator[AnalyzedFace]:
        return (self._face(i) for i in range(len(self)))

    def _face(self, index: int) -> AnalyzedFace:
        column = int(self.gate[index]) if len(self.gate) else None
        face = Faces._face(self, index)
        return AnalyzedFace(
            face.bbox,
            face.landmarks,
            face.score,
            rotation=face.rotation,
            embedding=self.embeddings[index],
            quality=float(self.quality[index]),
            quality_parts=QualityParts(*self.quality_parts[index].tolist()),
            recognizable=None if column is None else column == RECOGNIZABLE,
            defect=None if column in (None, RECOGNIZABLE) else QualityParts._fields[column],
            liveness_score=float(self.liveness[index]) if len(self.liveness) else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(Storable):
    """The embedding of one face.

    ``vector``: float32 [512] of length 1. ``face``: the face, with the same vector as its
    embedding; for an aligned crop, its box is the whole crop. ``image_size``: width and height of
    the upright photo in pixels. ``models``: the models that produced it. ``calibration``:
    thresholds and probabilities for its similarities, or None if the embedder is not calibrated.
    ``complete``: as :attr:`Faces.complete`.

    Store :meth:`to_dict` and recreate the embedding with :meth:`from_dict`, or store the fields
    yourself. Without the face's ``recognizable``, comparisons are not gated.
    """

    vector: _Vector = field(repr=False)
    face: Face
    image_size: tuple[int, int]
    models: ModelIds
    calibration: Calibration | None = field(default=None, repr=False)
    complete: bool = True
    request_id: str | None = None

    def __post_init__(self) -> None:
        if self.face.embedding is None:
            object.__setattr__(self, "face", replace(self.face, embedding=self.vector))

    def to_dict(self) -> dict[str, Any]:
        """As :meth:`Face.to_dict`; the vector is in it once, not in the face too."""
        face = replace(self.face, embedding=None).to_dict()
        # Not super(): slots=True creates a new class, which super() without arguments misses.
        return {**Storable.to_dict(self), "face": face}

    @property
    def quality(self) -> float | None:
        """As :attr:`Face.quality`; None from a server of version 0.1.0."""
        return self.face.quality

    @property
    def quality_parts(self) -> QualityParts | None:
        """As :attr:`Face.quality_parts`; None from a server of version 0.1.0."""
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
    def liveness_score(self) -> float | None:
        """As :attr:`Face.liveness_score`; None also for an aligned crop."""
        return self.face.liveness_score

    @property
    def is_live(self) -> bool | None:
        """As :attr:`Face.is_live`."""
        return self.face.is_live

    @property
    def quality_calibrated(self) -> bool:
        """As :attr:`Analysis.quality_calibrated`."""
        return self.face.recognizable is not None


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a server, from its health endpoints and one real inference.

    ``live``, ``ready``: as the server reports them. ``latency``: duration in seconds of the
    inference of a tiny image, or None if it failed. ``models``: the models that ran it, or None if
    it failed. ``error``: the first error, or None.
    """

    live: bool
    ready: bool
    latency: float | None
    models: ModelIds | None
    error: AurumError | None

    @property
    def ok(self) -> bool:
        """Whether the server is live, ready and has completed the inference."""
        return self.live and self.ready and self.latency is not None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model.

    ``datatype``: Triton's name, such as ``FP32``. ``shape``: -1 stands for a variable size.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One of the server's public models, from Triton's metadata.

    ``name``: the name to call it by. ``versions``: the available versions, empty if the server
    lacks the model. ``ready``: whether it can serve requests. ``inputs``, ``outputs``: its tensors.
    ``id``: the ``name@12hex`` of the model that ``face_detection`` or ``face_embedding`` serves;
    None for the pipelines, and if it could not be determined.
    """

    name: str
    versions: tuple[str, ...]
    ready: bool
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    id: str | None = None
