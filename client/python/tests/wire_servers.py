"""Small local servers that speak Triton's protocols, for the tests of both transports."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager

import grpc
import numpy as np
from aiohttp import web
from aurum_client import AsyncFaceClient
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
    b"quick": (429, grpc.StatusCode.UNAVAILABLE, "[rate_limited] too many requests at once"),
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
        self.headers: dict[str, str] = {}  # of the request
        self.answer_headers: dict[str, str] = {}

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
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        if image in ERRORS:
            status, _, message = ERRORS[image]
            return web.json_response(
                {"error": f"in ensemble 'analyze_faces', {message}"},
                status=status,
                headers=self.answer_headers,
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
            headers={"Inference-Header-Content-Length": str(len(start)), **self.answer_headers},
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
        self.headers = dict(context.invocation_metadata())
        self.note(image, parameters, request.id, self.headers.get("x-key"))
        # As nginx: in front of an answer, and behind an error.
        answer = tuple((name.lower(), value) for name, value in self.answer_headers.items())
        if image in ERRORS:
            context.set_trailing_metadata(answer)
        else:
            await context.send_initial_metadata(answer)
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


def talk(server, conversation, **options) -> None:
    """Run ``conversation(client)`` with a client connected to the server."""

    async def main():
        async with server.serving() as url, AsyncFaceClient(url, **options) as client:
            await conversation(client)

    asyncio.run(main())
