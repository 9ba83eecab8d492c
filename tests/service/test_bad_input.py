"""Every bad input gets INVALID_ARGUMENT and a message with the reason and what is allowed."""

import base64
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import images
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from aurum_client import FaceClient, InvalidImageError, InvalidRequestError
from test_contract import infer
from tritonclient.utils import InferenceServerException

from aurum.server.ephemeral import running
from aurum.settings import Settings

# Small limits, so that files beyond them are small.
LIMITS = {
    "max_image_bytes": 400_000,
    "max_base64_bytes": 100_000,
    "max_image_pixels": 5_000_000,
    "max_jpeg_pixels": 5_000_000,
    "max_photo_memory": 12_000_000,
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    settings = replace(Settings.from_env(), profile="simulated", **LIMITS)
    with running(settings, tmp_path_factory.mktemp("limited")) as service:
        yield service


GOOD = images.good()
GIF = base64.b64encode(images.bad()["other format GIF"][0])
BAD = images.bad(LIMITS["max_image_bytes"], LIMITS["max_image_pixels"]) | {
    "base64 of a GIF": (GIF, "GIF images are not supported"),
    "base64 of text": (base64.b64encode(b"this is no photo\n" * 20), "the bytes are not an image"),
    "base64 damaged": (base64.b64encode(GOOD["jpeg"][0])[:-9] + b"!" * 9, "is damaged base64"),
    "base64 cut": (base64.b64encode(GOOD["jpeg"][0])[:-100], "JPEG image is corrupt or truncated"),
    "data URL of a GIF": (b"data:image/gif;base64," + GIF, "GIF images are not supported"),
    "data URL of text": (b"data:text/plain,hello", "the data URL is not base64"),
    "too many bytes in base64": (
        base64.b64encode(GOOD["jpeg"][0] + bytes(100_000)),
        rf"has {len(GOOD['jpeg'][0]) + 100_000} bytes; at most 100000 are allowed as base64 "
        r"\(AURUM_MAX_BASE64_BYTES\): send larger ones in binary, with at most 400000",
    ),
    "too much memory jpeg": (
        images.with_size(images.good()["jpeg progressive"][0], 2500, 2000),
        r"2500x2000 pixels takes \d+ bytes of memory to be decoded, even at 1/8 of its size; at "
        r"most 12000000 are allowed \(AURUM_MAX_PHOTO_MEMORY\)",
    ),
    **{
        f"too much memory {kind}": (
            images.with_size(GOOD[kind][0], 2500, 2000),
            r"2500x2000 pixels takes \d+ bytes of memory to be decoded; at most 12000000 are "
            r"allowed \(AURUM_MAX_PHOTO_MEMORY\)",
        )
        for kind in ("png", "webp", "heic", "avif")
    },
    "heic of another size": (
        images.with_size(GOOD["heic"][0], 300, 200),
        "the HEIC image is corrupt or truncated and can't be decoded",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_with_the_reason(limited, name):
    data, message = BAD[name]
    for url in limited.urls:
        with FaceClient(url) as client, pytest.raises(InvalidImageError, match=message) as caught:
            client.analyze(data)
        assert caught.value.code == "invalid_image"
        assert caught.value.status in ("400", "StatusCode.INVALID_ARGUMENT")


@pytest.mark.parametrize("name", GOOD)
def test_unusual_images_are_accepted(simulated, name):
    data, (width, height) = GOOD[name]
    with FaceClient(simulated.urls[0]) as client:
        assert client.detect(data).image_size == (width, height)


# What phones and browsers send, besides plain JPEG.
SENT = ["heic", "heic 10-bit", "heic tiles", "heic orientation 6", "avif", "avif orientation 6",
        "png orientation 6 behind", "jpeg without its end", "jpeg progressive without its end",
        "webp"]  # fmt: skip


@pytest.mark.parametrize("name", SENT)
def test_the_same_face_is_found_in_every_format(best, name):
    """On the real server, where a Triton Python stub starts the decoder processes."""
    with FaceClient(best.urls[1]) as client:
        plain, found = (client.detect(data) for data, _ in (GOOD["png"], GOOD[name]))
    assert len(found) == len(plain) == 1
    np.testing.assert_allclose(found.boxes, plain.boxes, atol=4)
    assert found.image_size == plain.image_size


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_base64_is_accepted_as_encoders_write_it(simulated, transport):
    data, size = GOOD["heic"]
    for text in (
        base64.encodebytes(data),
        base64.urlsafe_b64encode(data).rstrip(b"="),
        b"DATA:;BASE64," + base64.b64encode(data),
    ):
        result = infer(simulated, transport, "detect_faces", text)
        assert result.as_numpy("image_size").tolist() == list(size)


def test_many_concurrent_heics_get_their_own_answers(simulated):
    with FaceClient(simulated.urls[1]) as client, ThreadPoolExecutor(8) as pool:
        names = ["heic", "heic gray", "avif", "jpeg"] * 6
        boxes = list(pool.map(lambda name: client.detect(GOOD[name][0]).boxes, names))
    for box in boxes:
        np.testing.assert_allclose(box, boxes[0], atol=4)


def test_with_heic_switched_off_the_error_names_the_setting(tmp_path):
    settings = replace(Settings.from_env(), profile="simulated", heic=False)
    with running(settings, tmp_path) as service, FaceClient(service.urls[0]) as client:
        with pytest.raises(InvalidImageError, match=r"HEIC images are not .* \(AURUM_HEIC=0\)"):
            client.detect(GOOD["heic"][0])
        assert client.detect(GOOD["avif"][0]).image_size == (320, 256)


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


def test_numbers_are_accepted_as_text(simulated, astronaut):
    result = infer(
        simulated, "grpc", "detect_faces", astronaut, min_confidence="0.1", max_faces="3"
    )
    assert result.as_numpy("scores").shape == (3,)


def test_an_aligned_crop_must_have_the_crop_size(simulated, astronaut):
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
        # Triton's own front end reports these as internal errors; our code is not called.
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


@pytest.mark.parametrize(
    "shape", [[1, 3, 100, 100], [1, 3, 32, 4128], [1, 4, 64, 64], [9, 3, 64, 64], [1, 3, 0, 64]]
)
def test_face_detection_refuses_inputs_that_its_graph_does_not_accept(service, shape):
    with triton_http.InferenceServerClient(service.urls[0].split("//")[1]) as client:
        item = triton_http.InferInput("images", shape, "UINT8")
        item.set_data_from_numpy(np.zeros(shape, np.uint8))
        with pytest.raises(InferenceServerException) as caught:
            client.infer("face_detection", [item])
    assert caught.value.status() == "400"
    if shape in ([1, 3, 100, 100], [1, 3, 32, 4128]):
        assert "height_and_width_must_be_multiples_of_32_up_to_4096" in str(caught.value)
