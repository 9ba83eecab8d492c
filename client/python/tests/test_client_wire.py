"""Both transports against small local servers that speak Triton's protocols."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from aiohttp import web
from aurum_client import (
    AsyncFaceClient,
    ClientClosedError,
    ConnectionFailedError,
    InvalidImageError,
    InvalidRequestError,
    LowQualityError,
    ModelNotFoundError,
    ProtocolError,
    RequestTimeoutError,
    UnavailableError,
)
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

DATATYPES = {
    np.dtype("float32"): "FP32",
    np.dtype("int32"): "INT32",
    np.dtype("bool"): "BOOL",
    np.dtype("O"): "BYTES",
}
ERRORS = {
    b"bad": (400, grpc.StatusCode.INVALID_ARGUMENT, "[invalid_image] cannot be decoded"),
    b"busy": (503, grpc.StatusCode.UNAVAILABLE, "[unavailable] too many requests"),
    b"poor": (400, grpc.StatusCode.INVALID_ARGUMENT, "[low_quality] the face's quality is 0.12"),
    b"none": (404, grpc.StatusCode.NOT_FOUND, "Request for unknown model"),
}


def raw(array: np.ndarray) -> bytes:
    """The tensor's bytes on the wire, the same for both protocols."""
    if array.dtype == np.object_:
        return b"".join(struct.pack("<I", len(item)) + item for item in array.ravel())
    return array.tobytes()


class Server:
    """The common half of both servers: record the request, respond by its image."""

    def __init__(self, make_outputs) -> None:
        self.make_outputs = make_outputs
        self.seen: dict = {}
        self.garbled = False
        self.complete = True
        self.gate = None

    async def outputs(self, image: bytes) -> dict[str, np.ndarray]:
        if image == b"hang":
            await asyncio.Event().wait()
        faces = int(image) if image.isdigit() else 1
        outputs = self.make_outputs(faces, complete=self.complete, gate=self.gate)
        return {**outputs, "of_a_later_server": np.zeros(1, np.float32)}

    def note(self, image, parameters, request_id, key) -> None:
        self.seen = {"image": image, "parameters": parameters, "id": request_id, "key": key}


class HttpServer(Server):
    async def infer(self, request: web.Request) -> web.Response:
        body = await request.read()
        size = int(request.headers["Inference-Header-Content-Length"])
        header, image = json.loads(body[:size]), body[size + 4 :]
        assert header["inputs"][0]["parameters"]["binary_data_size"] == len(image) + 4
        parameters = header["parameters"]
        assert parameters.pop("binary_data_output") is True
        self.note(image, parameters, header.get("id"), request.headers.get("X-Key"))
        if image in ERRORS:
            status, _, message = ERRORS[image]
            return web.json_response(
                {"error": f"in ensemble 'analyze_faces', {message}"}, status=status
            )
        if self.garbled:
            return web.Response(body=b"<html>hello</html>")
        outputs = await self.outputs(image)
        described = [
            {
                "name": name,
                "datatype": DATATYPES[array.dtype],
                "shape": array.shape,
                "parameters": {"binary_data_size": len(raw(array))},
            }
            for name, array in outputs.items()
        ]
        start = json.dumps({"outputs": described}).encode()
        return web.Response(
            body=start + b"".join(map(raw, outputs.values())),
            headers={"Inference-Header-Content-Length": str(len(start))},
        )

    async def metadata(self, request: web.Request) -> web.Response:
        if request.match_info["model"] == "embed_face":
            return web.json_response({"error": "Request for unknown model"}, status=404)
        return web.json_response(
            {
                "name": request.match_info["model"],
                "versions": ["1"],
                "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
                "outputs": [],
            }
        )

    async def fine(self, request: web.Request) -> web.Response:
        return web.Response()

    @asynccontextmanager
    async def serving(self):
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/v2/models/{model}/infer", self.infer)
        app.router.add_get("/v2/models/{model}", self.metadata)
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/{model}/ready"):
            app.router.add_get(path, self.fine)
        # A handler ends with its client, so that the server can shut down.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class GrpcServer(Server, GRPCInferenceServiceServicer):
    async def ModelInfer(self, request, context):
        image = request.raw_input_contents[0][4:]
        parameters = {
            name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in request.parameters.items()
        }
        key = dict(context.invocation_metadata()).get("x-key")
        self.note(image, parameters, request.id, key)
        if image in ERRORS:
            _, status, message = ERRORS[image]
            await context.abort(status, f"in ensemble 'analyze_faces', {message}")
        outputs = await self.outputs(image)
        response = pb.ModelInferResponse()
        for name, array in outputs.items():
            response.outputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
            response.raw_output_contents.append(raw(array)[1 if self.garbled else 0 :])
        return response

    async def ModelMetadata(self, request, context):
        if request.name == "embed_face":
            await context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model")
        image = pb.ModelMetadataResponse.TensorMetadata(name="image", datatype="BYTES", shape=[1])
        return pb.ModelMetadataResponse(name=request.name, versions=["1"], inputs=[image])

    async def ServerLive(self, request, context):
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request, context):
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request, context):
        return pb.ModelReadyResponse(ready=True)

    @asynccontextmanager
    async def serving(self):
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        add_GRPCInferenceServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"grpc://127.0.0.1:{port}"
        finally:
            await server.stop(None)


@pytest.fixture(params=[HttpServer, GrpcServer], ids=["http", "grpc"])
def server(request, outputs):
    return request.param(outputs)


def talk(server, conversation, **options) -> None:
    """Run ``conversation(client)`` with a client connected to the server."""

    async def main():
        async with server.serving() as url, AsyncFaceClient(url, **options) as client:
            await conversation(client)

    asyncio.run(main())


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


def test_an_integer_too_large_for_grpc(outputs):
    async def conversation(client):
        with pytest.raises(InvalidRequestError):
            await client.detect(b"1", max_faces=2**70)

    talk(GrpcServer(outputs), conversation)


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
