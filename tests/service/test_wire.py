"""What docs/reference/wire.md says about Triton's protocols, on the real server."""

import base64
import re
import socket
import ssl

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from gateway_world import gateway_for
from http2 import ENHANCE_YOUR_CALM, Connection
from tritonclient.utils import InferenceServerException
from waiting import eventually

from aurum import contract
from aurum.gateway.errors import refusals
from aurum.paths import CHECKOUT
from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server
from aurum.settings import Settings

PAGE = (CHECKOUT / "docs/reference/wire.md").read_text(encoding="utf-8")
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"  # a call that stays open
SEQUENCE = '"sequence_id":0,"sequence_start":false,"sequence_end":false'


@pytest.fixture
def grpc(best):
    with triton.InferenceServerClient(best.urls[1].removeprefix("grpc://")) as client:
        yield client


def image(photo, shape=(1,)):
    tensor = triton.InferInput("image", list(shape), "BYTES")
    tensor.set_data_from_numpy(np.full(shape, photo, dtype=object))
    return tensor


def bodies(photo):
    data = [base64.b64encode(photo).decode()]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    yield {"inputs": [tensor]}
    yield {"inputs": [tensor], "outputs": [{"name": "boxes"}, {"name": "scores"}]}


# --- the size of an answer ---


@pytest.mark.parametrize("pipeline", contract.PIPELINES)
def test_json_repeats_the_sequence_parameters_once_for_each_output(best, astronaut, pipeline):
    for body in bodies(astronaut):
        answer = httpx.post(f"{best.urls[0]}/v2/models/{pipeline}/infer", json=body)
        given = re.search(r'"parameters":\{(.*?)\}', answer.text)[1]
        filled = sum(bool(output["data"]) for output in answer.json()["outputs"])
        assert given == ",".join([SEQUENCE] * filled)
    assert f"{len(SEQUENCE) + 1} bytes for each output" in PAGE


def test_grpc_has_the_sequence_parameters_once(grpc, astronaut):
    answer = grpc.infer("analyze_faces", [image(astronaut)]).get_response()
    assert set(answer.parameters) == {"sequence_id", "sequence_start", "sequence_end"}


# --- errors ---


def test_tritons_error_about_shapes_ends_in_a_space(grpc, astronaut):
    with pytest.raises(InferenceServerException) as caught:
        grpc.infer("analyze_faces", [image(astronaut, (1, 1))])
    assert caught.value.message().endswith("Expected [1], got [1,1]. ")
    assert "`unexpected shape for input`" in PAGE


BROKEN = """
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        error = pb.TritonError("out of luck \\n ")
        return [pb.InferenceResponse(error=error) for _ in requests]
"""


def test_a_models_error_is_passed_on_without_a_space_at_its_end(tmp_path, astronaut):
    settings, _ = prepare_repositories(Settings.from_env(), tmp_path)
    model = tmp_path / "model_repository" / contract.EMBEDDING
    config = (model / "config.pbtxt").read_text().replace('"onnxruntime"', '"python"')
    for path in model.glob("**/*.pbtxt"):  # whichever the server chooses
        path.write_text(config)
    (model / "1" / "model.py").write_text(BROKEN)
    with Server(settings) as server:  # it never gets ready, as no photo is answered
        ready = f"{server.settings.http_url}/v2/models/analyze_faces/ready"
        eventually(lambda: loaded(ready))
        with (
            triton.InferenceServerClient(f"127.0.0.1:{settings.grpc_port}") as client,
            pytest.raises(InferenceServerException) as caught,
        ):
            client.infer("analyze_faces", [image(astronaut)])
    assert caught.value.message() == "in ensemble 'analyze_faces', out of luck"
    assert caught.value.status() == "StatusCode.INTERNAL"


def loaded(url):
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    "parameters",
    [{"max_faces": "x "}, {"aligned": "yes\n"}, {"orientation": "up "}, {"nonsense ": "1 "}],
)
def test_our_errors_end_in_no_space_whatever_the_sender_sent(grpc, astronaut, parameters):
    with pytest.raises(InferenceServerException) as caught:
        grpc.infer("analyze_faces", [image(astronaut)], parameters=parameters)
    assert caught.value.message() == caught.value.message().strip()


@pytest.mark.parametrize(
    ("model", "name", "shape"),
    [
        (contract.DETECTION, "images", (1, 3, 33, 32)),
        (contract.DETECTION, "images", (99, 3, 32, 32)),
        (contract.EMBEDDING, "crops", (99, 112, 112, 3)),
    ],
)
def test_errors_of_the_models_end_in_no_space(grpc, model, name, shape):
    tensor = triton.InferInput(name, list(shape), "UINT8")
    tensor.set_data_from_numpy(np.zeros(shape, np.uint8))
    with pytest.raises(InferenceServerException) as caught:
        grpc.infer(model, [tensor])
    assert caught.value.message() == caught.value.message().strip()


def test_the_gateways_errors_end_in_no_space():
    table = refusals(1, 1, "")
    assert table
    assert all(item.text == item.text.strip() for item in table)


# --- pings ---


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with an open call"])
def test_too_many_pings_end_the_connection(best, busy):
    with socket.create_connection(("127.0.0.1", best.settings.grpc_port), timeout=30) as sock:
        connection = Connection(sock)
        if busy:
            connection.open_call(STREAM)
        answers = [connection.ping() for _ in range(5)]
        while answers[-1] is None:
            answers.append(connection.ping())
    assert answers[-1] == (ENHANCE_YOUR_CALM, "too_many_pings")
    assert len(answers) <= 7
    assert "at the fifth to seventh ping" in PAGE


def test_the_gateway_takes_pings(best):
    trust = ssl.create_default_context()
    trust.set_alpn_protocols(["h2"])
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with gateway_for(best) as world:
        url = httpx.URL(world.gateway.url)
        with (
            socket.create_connection((url.host, url.port), timeout=30) as sock,
            trust.wrap_socket(sock) as secure,
        ):
            connection = Connection(secure)
            assert [connection.ping() for _ in range(1000)] == [None] * 1000
