"""The parts without network I/O: parsing, retries, images, addresses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from aurum_client import _retry, errors
from aurum_client._address import Address, open_transport, parse_url
from aurum_client._parse import parse_analysis, parse_embedding, parse_faces, parse_metadata
from aurum_client.results import Box, Faces, ModelIds, TensorInfo


def test_faces_hold_the_outputs_of_the_server(outputs):
    sent = outputs(3)
    analysis = parse_analysis(sent)
    assert len(analysis) == len(list(analysis)) == 3
    assert analysis.image_size == (640, 480)
    face = analysis[1]
    assert face.bbox == Box(4, 5, 6, 7)
    assert face.score == pytest.approx(0.7)
    np.testing.assert_array_equal(face.landmarks, sent["landmarks"][1])
    np.testing.assert_array_equal(face.embedding, sent["embeddings"][1])
    assert face.quality == 0.5
    assert face.quality_parts == tuple(range(16, 32))
    assert face.quality_parts.resolution == 16
    assert face.quality_parts.norm == 30
    assert [f.rotation for f in analysis] == analysis.rotations.tolist() == [90, 180, 270]
    assert type(face.rotation) is int
    assert [f.bbox.x for f in analysis[1:]] == [4, 8]
    assert analysis[-1].bbox == analysis[2].bbox
    with pytest.raises(IndexError):
        analysis[3]


@pytest.mark.parametrize("complete", [True, False])
def test_results_report_completeness(outputs, complete):
    sent = outputs(1, complete=complete)
    for parse in (parse_faces, parse_analysis, parse_embedding):
        assert parse(sent).complete is complete


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_a_0_1_server_reports_neither_rotations_nor_completeness(outputs, faces):
    sent = outputs(faces)
    del sent["rotations"], sent["complete"], sent["gate"]
    for parse in (parse_faces, parse_analysis):
        found = parse(sent)
        assert found.rotations.tolist() == [face.rotation for face in found] == [0] * faces
        assert found.rotations.dtype == np.int32
        assert not found.rotations.flags.writeable
        assert found.complete is True
    if faces == 1:
        embedding = parse_embedding(sent)
        assert (embedding.face.rotation, embedding.complete) == (0, True)


def test_faces_report_whether_they_are_recognizable_and_their_defect(outputs):
    analysis = parse_analysis(outputs(3, gate=[-1, 1, 15]))
    assert analysis.quality_calibrated is True
    assert [face.recognizable for face in analysis] == [True, False, False]
    assert [face.defect for face in analysis] == [None, "sharpness", "recognizability"]
    assert all(type(face.recognizable) is bool for face in analysis)
    assert not analysis.gate.flags.writeable


@pytest.mark.parametrize("absent", [False, True])
def test_without_a_gate_quality_is_not_calibrated(outputs, absent):
    sent = outputs(1, gate=[])
    if absent:
        del sent["gate"]
    analysis, embedding = parse_analysis(sent), parse_embedding(sent)
    assert analysis.quality_calibrated is embedding.quality_calibrated is False
    assert analysis[0].recognizable is analysis[0].defect is None
    assert embedding.recognizable is embedding.defect is None
    assert (analysis[0].quality, embedding.quality) == (1, 1)


def test_an_embedding_has_the_same_quality_as_in_an_analysis(outputs):
    sent = outputs(1, gate=[4])
    (face,), embedding = parse_analysis(sent), parse_embedding(sent)
    assert (embedding.quality, embedding.quality_parts) == (face.quality, face.quality_parts)
    assert embedding.quality_parts.sharpness == 1
    assert (embedding.recognizable, embedding.defect) == (False, "contrast")
    assert (embedding.face.recognizable, embedding.face.defect) == (False, "contrast")
    assert embedding.quality_calibrated is True


def test_a_0_1_server_reports_no_quality_of_an_embedding(outputs):
    sent = outputs(1)
    for name in ("quality", "quality_parts", "gate", "rotations", "complete"):
        del sent[name]
    embedding = parse_embedding(sent)
    assert embedding.quality is embedding.quality_parts is embedding.recognizable is None
    assert embedding.quality_calibrated is False
    assert embedding.face.embedding is not None


def crowd(faces, side, image_size=(4000, 3000), **other):
    """Faces that are `side` pixels wide, all of different heights."""
    boxes = np.zeros((faces, 4), np.float32)
    boxes[:, 2] = side
    boxes[:, 3] = np.linspace(side / 4, side / 2, faces)
    scores = np.ones(faces, np.float32)
    points = np.zeros((faces, 5, 2), np.float32)
    return Faces(boxes, points, scores, image_size, ModelIds("d@1", None), **other)


def test_more_faces_are_likely_in_a_crowd_of_small_faces():
    # 640 / 4000: a face of 250 pixels covers 40 pixels of the detector's input.
    assert crowd(20, 249).may_miss_some(640)
    assert not crowd(20, 251).may_miss_some(640)
    assert not crowd(19, 249).may_miss_some(640)
    assert crowd(20, 249, (3000, 4000)).may_miss_some(640)
    # Following the hint ends it.
    assert not crowd(20, 249).may_miss_some(672)
    assert crowd(20, 249).may_miss_some(640, tiles=1)
    assert not crowd(20, 249).may_miss_some(640, tiles=2)
    # A photo that was not shrunk gains nothing from a larger input.
    assert crowd(20, 20, (641, 480)).may_miss_some(640)
    assert not crowd(20, 20, (640, 480)).may_miss_some(640)


def test_the_median_face_size_decides():
    boxes = crowd(21, 100).boxes.copy()
    boxes[:10, 2] = 1000
    assert replace(crowd(21, 100), boxes=boxes).may_miss_some(640)
    boxes[:11, 2] = 1000
    assert not replace(crowd(21, 100), boxes=boxes).may_miss_some(640)


@pytest.mark.parametrize("faces", [0, 1])
def test_more_faces_are_likely_if_the_result_is_incomplete(faces):
    assert crowd(faces, 600, complete=False).may_miss_some(640)
    assert not crowd(faces, 600).may_miss_some(640)


def test_detection_has_no_embeddings(outputs):
    faces = parse_faces(outputs(2, embedder="", embeddings=False))
    assert faces[0].embedding is faces[0].quality is faces[0].quality_parts is None
    assert faces[0].recognizable is faces[0].defect is None
    assert faces.models.embedder is None
    assert [face.embedding for face in faces] == [None, None]


def test_a_photo_without_faces_has_empty_arrays(outputs):
    analysis = parse_analysis(outputs(0, embedder=""))
    assert len(analysis) == 0
    assert list(analysis) == []
    assert (analysis.boxes.shape, analysis.landmarks.shape) == ((0, 4), (0, 5, 2))
    assert (analysis.scores.shape, analysis.embeddings.shape) == ((0,), (0, 512))
    assert (analysis.quality.shape, analysis.quality_parts.shape) == ((0,), (0, 16))
    assert analysis.rotations.shape == (0,)
    assert analysis.calibration is None
    assert analysis.quality_calibrated is False


def test_results_are_immutable(outputs):
    analysis = parse_analysis(outputs(1))
    with pytest.raises(ValueError, match="read-only"):
        analysis.boxes[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        analysis[0].embedding[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        analysis.rotations[0] = 90
    with pytest.raises(AttributeError):
        analysis.boxes = None


def test_outputs_of_newer_servers_are_ignored(outputs):
    later = outputs(2) | {
        "age": np.zeros((2,), np.float64),
        "quality_parts": np.zeros((2, 20), np.float32),
    }
    assert parse_analysis(later).quality_parts.shape == (2, 16)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("boxes", None, "no output 'boxes'"),
        ("boxes", np.zeros((3, 4), np.float32), r"float32 \[3, 4\], expected float32 \[2, 4\]"),
        ("scores", np.zeros((2, 1), np.float32), r"expected float32 \[any\]"),
        ("landmarks", np.zeros((2, 5, 2), np.float64), "is float64"),
        ("embeddings", np.zeros((2, 128), np.float32), r"\[2, 512\]"),
        ("quality", np.zeros((2, 1), np.float32), "quality"),
        ("quality_parts", np.zeros((2, 14), np.float32), "14 columns, not 16"),
        ("quality_parts", np.zeros((3, 16), np.float32), "quality_parts"),
        ("calibration", np.zeros(5, np.float32), "5 numbers, not 6 or 0"),
        ("calibration", None, "no output 'calibration'"),
        ("image_size", np.zeros(3, np.int32), "image_size"),
        ("rotations", np.zeros(3, np.int32), r"int32 \[3\], expected int32 \[2\]"),
        ("rotations", np.zeros(2, np.float32), "is float32"),
        ("gate", np.zeros(2, np.int64), "is int64"),
        ("gate", np.zeros((2, 1), np.int32), r"int32 \[2, 1\], expected int32 \[any\]"),
        ("gate", np.zeros(1, np.int32), "'gate' has 1 values, not 2 or 0"),
        ("gate", np.array([-1, 16], np.int32), r"\[-1, 16\], not -1 to 15"),
        ("gate", np.array([-2, 15], np.int32), r"\[-2, 15\], not -1 to 15"),
        ("complete", np.ones(2, bool), r"expected bool \[1\]"),
        ("complete", np.ones(1, np.int32), "is int32"),
        ("models", np.array([b"a"], np.object_), "models"),
        ("models", np.array([b"\xff", b""], np.object_), "not text"),
        ("models", np.array([1, 2], np.object_), "not text"),
    ],
)
def test_a_response_that_violates_the_contract_is_rejected(outputs, name, wrong, message):
    broken = outputs(2)
    if wrong is None:
        del broken[name]
    else:
        broken[name] = wrong
    with pytest.raises(errors.ProtocolError, match=message):
        parse_analysis(broken)


def test_an_embedding_needs_one_face_and_an_embedder_id(outputs):
    embedding = parse_embedding(outputs(1, detector=""))
    assert embedding.vector.shape == (512,)
    assert embedding.models == ModelIds(None, "edgeface@ba9876543210")
    np.testing.assert_array_equal(embedding.face.embedding, embedding.vector)
    assert embedding.face.rotation == 90
    for broken in (outputs(0), outputs(2), outputs(1, embedder="")):
        with pytest.raises(errors.ProtocolError):
            parse_embedding(broken)


def test_simulated_models_are_recognized():
    assert ModelIds("yunet@1", "simulated-embedder@2").simulated
    assert ModelIds("simulated@1", None).simulated
    assert not ModelIds("yunet@1", None).simulated


def test_metadata_parses_the_same_over_both_transports():
    tensor = {"name": "boxes", "datatype": "FP32"}
    http = {"name": "m", "versions": ["1"], "inputs": [], "outputs": [tensor | {"shape": [-1, 4]}]}
    grpc = {"name": "m", "versions": ["1"], "outputs": [tensor | {"shape": ["-1", "4"]}]}
    model = parse_metadata(http, ready=True)
    assert model == parse_metadata(grpc, ready=True)
    assert model.outputs == (TensorInfo("boxes", "FP32", (-1, 4)),)
    with pytest.raises(errors.ProtocolError):
        parse_metadata({"error": "?"}, ready=True)


def test_backoff_doubles_up_to_its_cap_with_full_jitter():
    drawn = [_retry.backoff(attempt, lambda low, high: (low, high)) for attempt in range(8)]
    assert drawn[:3] == [(0, 0.1), (0, 0.2), (0, 0.4)]
    assert drawn[-1] == (0, _retry.CAP)
    assert all(0 <= _retry.backoff(3) <= 0.8 for _ in range(100))


def test_no_pointless_retries(no_waiting):
    def delay(error, attempt=0, time_left=1.0):
        return _retry.delay_before_retry(error, attempt, retries=2, time_left=time_left)

    assert delay(errors.UnavailableError("x")) == 0
    assert delay(errors.UnavailableError("x"), attempt=2) is None
    assert delay(errors.UnavailableError("x"), time_left=0) is None
    assert delay(errors.InvalidImageError("x")) is None
    assert delay(errors.RequestTimeoutError("x")) is None


@pytest.mark.parametrize(
    ("url", "address", "secure"),
    [
        ("localhost:8000", Address("http", "localhost:8000"), False),
        ("http://[::1]:8000/", Address("http", "[::1]:8000"), False),
        ("https://example.org/triton/", Address("https", "example.org/triton"), True),
        ("grpc://localhost:8001", Address("grpc", "localhost:8001"), False),
        ("grpcs://10.0.0.1:8001", Address("grpcs", "10.0.0.1:8001"), True),
    ],
)
def test_the_scheme_chooses_the_transport(url, address, secure):
    assert parse_url(url) == address
    assert address.secure is secure


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host:1",
        "http://",
        "http://host:port",
        "http://user:secret@host:1",
        "http://host:1/?x=1",
        "grpc://host",
        "grpc://host:1/path",
    ],
)
def test_an_invalid_url_is_rejected(url):
    with pytest.raises(ValueError, match=r"."):
        parse_url(url)


SCHEMES = ("https", "grpcs")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("name", "value"), [("X-Key", "secret\n"), ("X-Key", "sécret"), ("X Key", "secret"), ("", "")]
)
def test_invalid_headers_are_rejected_immediately(scheme, name, value):
    """For example a key read from a file with its line break. The message does not show the key."""
    with pytest.raises(ValueError, match=f"header {name!r}: ") as caught:
        open_transport(f"{scheme}://localhost:1", ca_file=None, headers={name: value})
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_invalid_ca_file_is_named_immediately(scheme, tmp_path):
    file = tmp_path / "ca.pem"
    with pytest.raises(FileNotFoundError, match=r"ca\.pem"):
        open_transport(f"{scheme}://localhost:1", ca_file=file, headers={})
    file.write_text("no certificate")
    with pytest.raises(ValueError, match=r"ca\.pem.* has no certificates"):
        open_transport(f"{scheme}://localhost:1", ca_file=file, headers={})
