"""Every bad input gets INVALID_ARGUMENT and a message that says what was wrong and is allowed."""

import json
import urllib.error
import urllib.request
from dataclasses import replace

import images
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from aurum_client import FaceClient, InvalidImageError, InvalidRequestError
from test_contract import infer
from tritonclient.utils import InferenceServerException

from aurum.server.private import running
from aurum.settings import Settings

# Small limits, so that files beyond them are small.
LIMITS = {"max_image_bytes": 400_000, "max_image_pixels": 5_000_000}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    settings = replace(Settings.from_env(), profile="simulated", **LIMITS)
    with running(settings, tmp_path_factory.mktemp("limited")) as service:
        yield service


BAD = images.bad(LIMITS["max_image_bytes"], LIMITS["max_image_pixels"])


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_with_the_reason(limited, name):
    data, message = BAD[name]
    for url in limited.urls:
        with FaceClient(url) as client, pytest.raises(InvalidImageError, match=message) as caught:
            client.analyze(data)
        assert caught.value.code == "invalid_image"
        assert caught.value.status in ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize("name", images.good())
def test_unusual_images_work(simulated, name):
    data, (width, height) = images.good()[name]
    with FaceClient(simulated.urls[0]) as client:
        assert client.detect(data).image_size == (width, height)


BAD_PARAMETERS = [
    ({"min_confidence": 1.5}, r"min_confidence=1\.5: must be a number from 0 to 1"),
    ({"min_confidence": -0.1}, r"min_confidence=-0\.1: must be a number from 0 to 1"),
    ({"min_confidence": "high"}, "min_confidence='high': must be a number from 0 to 1"),
    ({"min_confidence": True}, "min_confidence=True: must be a number from 0 to 1"),
    ({"max_faces": -1}, r"max_faces=-1: must be a whole number, 0 \(all faces\) or more"),
    ({"max_faces": "two"}, "max_faces='two': must be a whole number"),
    ({"max_faces": 1.5}, r"max_faces=1\.5: must be a whole number"),
    ({"detection_size": 100}, "detection_size=100: must be a multiple of 32 from 32 to 2560"),
    ({"detection_size": 9600}, "detection_size=9600: must be a multiple of 32 from 32 to 2560"),
    ({"min_confidense": 0.5}, "unknown parameter 'min_confidense'; known: min_confidence,"),
    ({"aligned": "perhaps"}, "aligned='perhaps': must be true or false"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_PARAMETERS)
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_bad_parameters_are_refused_with_what_is_allowed(
    simulated, transport, parameters, message, astronaut
):
    with pytest.raises(InferenceServerException, match=message) as caught:
        infer(simulated, transport, "analyze_faces", astronaut, **parameters)
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert "[invalid_parameter]" in str(caught.value)


def test_numbers_may_come_as_text(simulated, astronaut):
    result = infer(
        simulated, "grpc", "detect_faces", astronaut, min_confidence="0.1", max_faces="3"
    )
    assert result.as_numpy("scores").shape == (3,)


def test_an_aligned_crop_must_have_the_size_of_one(simulated, astronaut):
    with (
        FaceClient(simulated.urls[0]) as client,
        pytest.raises(InvalidRequestError, match=r"512x512.*112x112"),
    ):
        client.embed(astronaut, aligned=True)


def tensor(module, dtype, shape, value):
    item = module.InferInput("image", shape, dtype)
    item.set_data_from_numpy(value)
    return item


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "message"),
    [
        ("UINT8", [3], np.zeros(3, np.uint8), "data-type.*expects.*BYTES|expects.*TYPE_STRING"),
        ("BYTES", [2], np.array([b"a", b"b"], np.object_), r"expected.*\[1\]|shape"),
        ("BYTES", [1, 1], np.array([[b"a"]], np.object_), r"expected.*\[1\]|shape"),
        ("BYTES", [0], np.zeros(0, np.object_), r"expected.*\[1\]|shape"),
    ],
)
@pytest.mark.parametrize("module", [triton_http, triton_grpc])
@pytest.mark.parametrize("pipeline", ["detect_faces", "embed_face", "analyze_faces"])
def test_wrong_dtypes_and_shapes_are_refused(
    simulated, module, dtype, shape, value, message, pipeline
):
    address = simulated.urls[0 if module is triton_http else 1].split("//")[1]
    with (
        module.InferenceServerClient(address) as client,
        pytest.raises(InferenceServerException, match=message) as caught,
    ):
        client.infer(pipeline, [tensor(module, dtype, shape, value)])
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"inputs": []}', 400),
        (b'{"inputs": [{"name": "photo", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}', 400),
        (b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}', 400),
        # Triton's own front end counts these among its internal errors; it never asks us.
        (b"{", 500),
        (b"[]", 500),
        (b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [7]}]}', 500),
        (
            b'{"inputs": [{"name": "image", "shape": [-1], "datatype": "BYTES", "data": ["x"]}]}',
            500,
        ),
    ],
)
def test_malformed_requests_are_refused_by_triton(simulated, body, status):
    url = f"{simulated.settings.http_url}/v2/models/analyze_faces/infer"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"))
    with caught.value as answer:
        assert answer.code == status
        message = json.load(answer)["error"]
    print(message)
    assert message


@pytest.mark.parametrize("shape", [[1, 3, 100, 100], [1, 4, 64, 64], [9, 3, 64, 64], [1, 3, 0, 64]])
def test_face_detection_refuses_what_its_graph_can_not_take(service, shape):
    with triton_http.InferenceServerClient(service.urls[0].split("//")[1]) as client:
        item = triton_http.InferInput("images", shape, "UINT8")
        item.set_data_from_numpy(np.zeros(shape, np.uint8))
        with pytest.raises(InferenceServerException) as caught:
            client.infer("face_detection", [item])
    assert caught.value.status() == "400"
    if shape == [1, 3, 100, 100]:
        assert "height_and_width_must_be_multiples_of_32" in str(caught.value)
