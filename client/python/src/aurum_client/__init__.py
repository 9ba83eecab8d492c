"""Client for Aurum Face Serving: detect, embed and compare the faces in photos.

>>> from aurum_client import FaceClient
>>> with FaceClient("grpc://localhost:8001") as client:  # doctest: +SKIP
...     for face in client.analyze("photo.jpg"):
...         print(face.bbox, face.score, face.embedding.shape)
"""

from aurum_client.aio import AsyncFaceClient
from aurum_client.calibration import FARS, Calibration
from aurum_client.comparison import Comparison, Decision
from aurum_client.errors import (
    AccessDeniedError,
    AurumError,
    ClientClosedError,
    ConnectionFailedError,
    EventLoopError,
    ForkedProcessError,
    InvalidImageError,
    InvalidRequestError,
    LowQualityError,
    ModelMismatchError,
    ModelNotFoundError,
    NoFaceError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnavailableError,
)
from aurum_client.images import Image
from aurum_client.options import AnalyzeOptions, DetectOptions, EmbedOptions
from aurum_client.results import (
    Analysis,
    AnalyzedFace,
    Box,
    Embedding,
    Face,
    Faces,
    Health,
    ModelIds,
    ModelInfo,
    QualityParts,
    TensorInfo,
)
from aurum_client.sync import FaceClient
from aurum_client.transport import Answer, Transport

__all__ = [
    "FARS",
    "AccessDeniedError",
    "Analysis",
    "AnalyzeOptions",
    "AnalyzedFace",
    "Answer",
    "AsyncFaceClient",
    "AurumError",
    "Box",
    "Calibration",
    "ClientClosedError",
    "Comparison",
    "ConnectionFailedError",
    "Decision",
    "DetectOptions",
    "EmbedOptions",
    "Embedding",
    "EventLoopError",
    "Face",
    "FaceClient",
    "Faces",
    "ForkedProcessError",
    "Health",
    "Image",
    "InvalidImageError",
    "InvalidRequestError",
    "LowQualityError",
    "ModelIds",
    "ModelInfo",
    "ModelMismatchError",
    "ModelNotFoundError",
    "NoFaceError",
    "ProtocolError",
    "QualityParts",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "TensorInfo",
    "Transport",
    "UnavailableError",
]
