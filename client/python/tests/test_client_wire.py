"""Both transports against small local servers that speak Triton's protocols."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest
from aurum_client import (
    AsyncFaceClient,
    ClientClosedError,
    ConnectionFailedError,
    InvalidImageError,
    LowQualityError,
    ModelNotFoundError,
    ProtocolError,
    RequestTimeoutError,
    UnavailableError,
)
from wire_servers import GrpcServer, talk


def test_requests_and_responses_arrive_unchanged(server, outputs):
    async def conversation(client):
        analysis = await client.analyze(
            b"3",
            min_confidence=0.5,
            max_faces=7,
            min_quality=0.25,
            detection_size=640,
            request_id="r-1",
        )
        sent = outputs(3)
        for name in set(sent) - {"complete", "image_size", "models", "calibration"}:
            np.testing.assert_array_equal(getattr(analysis, name), sent[name])
        assert analysis.models.detector == "yunet@0123456789ab"
        assert server.seen == {
            "image": b"3",
            "parameters": {
                "min_confidence": 0.5,
                "max_faces": 7,
                "min_quality": 0.25,
                "detection_size": 640,
            },
            "id": "r-1",
            "key": "secret",
        }
        assert {name: type(value) for name, value in server.seen["parameters"].items()} == {
            "min_confidence": float,
            "max_faces": int,
            "min_quality": float,
            "detection_size": int,
        }
        await client.embed(b"1", aligned=True)
        assert server.seen["parameters"] == {"aligned": True}
        looks = {"orientation": "exif", "refine": False, "tiles": 4}
        await client.detect(b"1", **looks)
        assert server.seen["parameters"] == looks
        for name, value in looks.items():
            assert type(server.seen["parameters"][name]) is type(value)

    talk(server, conversation, headers={"X-Key": "secret"})


def test_booleans_arrive_over_both_protocols(server):
    async def conversation(client):
        for server.complete in (True, False):
            assert (await client.detect(b"1")).complete is server.complete

    talk(server, conversation)


def test_an_empty_gate_arrives_over_both_protocols(server):
    async def conversation(client):
        for server.gate in ([-1], [1], []):
            embedding = await client.embed(b"1")
            expected = {(-1,): True, (1,): False, (): None}[tuple(server.gate)]
            assert embedding.recognizable is expected
            assert (await client.analyze(b"1"))[0].recognizable is expected

    talk(server, conversation)


def test_empty_tensors_keep_dtype_and_shape(server):
    async def conversation(client):
        analysis = await client.analyze(b"0")
        assert len(analysis) == 0
        assert analysis.landmarks.shape == (0, 5, 2)
        assert analysis.embeddings.shape == (0, 512)
        assert analysis.embeddings.dtype == np.float32

    talk(server, conversation)


def test_a_photo_may_exceed_the_default_message_size(server):
    async def conversation(client):
        await client.detect(b"x" * 5_000_000)
        assert len(server.seen["image"]) == 5_000_000

    talk(server, conversation)


def test_many_calls_run_concurrently(server):
    async def conversation(client):
        images = [str(number % 5).encode() for number in range(200)]
        answers = await client.analyze_many(images, concurrency=120)
        assert [len(answer) for answer in answers] == [number % 5 for number in range(200)]

    talk(server, conversation)


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (b"bad", InvalidImageError, ("invalid_image", "cannot be decoded")),
        (b"busy", UnavailableError, ("unavailable", "too many requests")),
        (b"poor", LowQualityError, ("low_quality", "the face's quality is 0.12")),
        (b"none", ModelNotFoundError, (None, "Request for unknown model")),
    ],
)
def test_errors_are_the_same_over_both_protocols(server, no_waiting, image, kind, message):
    async def conversation(client):
        with pytest.raises(kind) as caught:
            await client.analyze(image)
        assert (caught.value.code, str(caught.value)) == message
        assert type(caught.value) is kind
        assert caught.value.status

    talk(server, conversation)


def test_a_timeout_is_the_same_over_both_protocols(server):
    async def conversation(client):
        with pytest.raises(RequestTimeoutError):
            await client.detect(b"hang", timeout=0.1)
        assert len(await client.detect(b"2")) == 2

    talk(server, conversation)


def test_closing_ends_a_pending_call(server):
    async def conversation(client):
        call = asyncio.create_task(client.detect(b"hang"))
        while server.seen.get("image") != b"hang":
            await asyncio.sleep(0.001)
        await client.close()
        with pytest.raises(ClientClosedError):
            await call

    talk(server, conversation)


def test_a_response_that_is_not_from_triton(server):
    async def conversation(client):
        server.garbled = True
        with pytest.raises(ProtocolError):
            await client.detect(b"1")

    talk(server, conversation)


def test_health_and_models(server):
    async def conversation(client):
        assert (await client.health()).ok
        models = {model.name: model for model in await client.models()}
        assert models["face_detection"].ready
        assert models["face_detection"].id == "yunet@0123456789ab"
        assert models["face_detection"].inputs[0].shape == (1,)
        assert not models["embed_face"].ready

    talk(server, conversation)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_no_server(scheme, no_waiting):
    with socket.socket() as taken:  # bound but not listening, so connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"

        async def main():
            async with AsyncFaceClient(url) as client:
                with pytest.raises(ConnectionFailedError):
                    await client.detect(b"x")

        asyncio.run(main())
    assert no_waiting == [0, 1]


def test_a_server_of_the_other_protocol(outputs, no_waiting):
    async def main():
        async with (
            GrpcServer(outputs).serving() as url,
            AsyncFaceClient(url.replace("grpc", "http")) as client,
        ):
            with pytest.raises((ProtocolError, ConnectionFailedError)):
                await client.detect(b"x")

    asyncio.run(main())


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_encryption_is_not_silently_dropped(scheme, server, no_waiting):
    async def main():
        async with (
            server.serving() as url,
            AsyncFaceClient(url.replace(url.split(":")[0], scheme, 1)) as client,
        ):
            with pytest.raises(ConnectionFailedError):
                await client.detect(b"1")
        assert server.seen == {}

    asyncio.run(main())
