"""Describe one of a server's models over a transport."""

from __future__ import annotations

from dataclasses import replace

from aurum_client import _contract as contract
from aurum_client._parse import parse_embedding, parse_faces, parse_metadata
from aurum_client._png import gray_png
from aurum_client.errors import AurumError, ModelNotFoundError
from aurum_client.options import Parameters
from aurum_client.results import ModelInfo
from aurum_client.transport import Transport

# Without a face, and of the size of an aligned crop, so that the embedder accepts it too.
PROBE = gray_png(contract.ALIGNED_SIDE)


async def describe(transport: Transport, name: str, time_left: float) -> ModelInfo:
    """Describe the model ``name`` within ``time_left`` seconds; a missing one is not ready."""
    try:
        metadata = await transport.metadata(name)
    except ModelNotFoundError:
        return ModelInfo(name, (), False, (), ())
    model = parse_metadata(metadata, ready=await transport.is_ready(name))
    return replace(model, id=await _active_id(transport, name, time_left))


async def _active_id(transport: Transport, name: str, time_left: float) -> str | None:
    try:
        if name == contract.DETECTOR:
            answer = await transport.infer(contract.DETECT, PROBE, {}, None, time_left)
            return parse_faces(answer.outputs).models.detector
        if name == contract.EMBEDDER:
            aligned: Parameters = {"aligned": True}
            answer = await transport.infer(contract.EMBED, PROBE, aligned, None, time_left)
            return parse_embedding(answer.outputs).models.embedder
    except AurumError:
        return None  # the rest of the description is still useful
    return None
