"""The public contract of the pipelines and of the two models, for every model family."""

import urllib.error
import urllib.request
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from aurum_client import Comparison, FaceClient, ModelMismatchError, NoFaceError
from tritonclient.utils import InferenceServerException

from aurum.models import build
from aurum.models.pull import PullError
from aurum.quality.parts import PARTS
from aurum.quality.weights import FITTED
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

COMMON = {"boxes", "landmarks", "scores", "rotations", "complete", "image_size", "models"}
JUDGED = {"embeddings", "quality", "quality_parts", "gate", "calibration", "liveness"}
PIPELINES = {
    "detect_faces": COMMON,
    "embed_face": COMMON | JUDGED,
    "analyze_faces": COMMON | JUDGED,
}
DTYPES = {
    "boxes": ("FP32", (4,)),
    "landmarks": ("FP32", (5, 2)),
    "scores": ("FP32", ()),
    "embeddings": ("FP32", (512,)),
    "quality": ("FP32", ()),
    "quality_parts": ("FP32", (16,)),
    "rotations": ("INT32", ()),
}
FLAT = cv2.imencode(".png", np.full((300, 400, 3), 128, np.uint8))[1].tobytes()


@pytest.fixture(
    scope="module",
    params=["best", "simulated", "edgeface-xxs", "yunet-n", "scrfd", "liveness"],
)
def service(request, tmp_path_factory):
    """Also with another embedder, other detectors, and with liveness."""
    if request.param in ("best", "simulated"):
        yield request.getfixturevalue(request.param)
        return
    changed = {"liveness": True} if request.param == "liveness" else {"profile": request.param}
    settings = replace(Settings.from_env(), **changed)
    try:
        build.prepare(settings)
    except PullError:
        pytest.skip(f"no weights of {request.param}: not in AURUM_MODEL_MIRROR")
    with running(settings, tmp_path_factory.mktemp(request.param)) as service:
        yield service


def infer(service: Service, transport: str, model: str, image: bytes, **parameters):
    """A request without our client, as any Triton client sends it."""
    module, address = {
        "http": (triton_http, service.settings.http_url.removeprefix("http://")),
        "grpc": (triton_grpc, service.settings.grpc_url.removeprefix("grpc://")),
    }[transport]
    with module.InferenceServerClient(address) as client:
        tensor = module.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], np.object_))
        return client.infer(model, [tensor], parameters=parameters or None)


@pytest.mark.parametrize("transport", ["http", "grpc"])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_outputs_have_their_names_types_and_shapes(service, transport, pipeline, astronaut):
    result = infer(service, transport, pipeline, astronaut)
    if transport == "http":
        got = {item["name"]: item for item in result.get_response()["outputs"]}
    else:
        got = {
            item.name: {"datatype": item.datatype, "shape": list(item.shape)}
            for item in result.get_response().outputs
        }
    assert set(got) == PIPELINES[pipeline]
    for name, (dtype, tail) in DTYPES.items():
        if name in got:
            assert got[name]["datatype"] == dtype
            assert tuple(got[name]["shape"]) == (1, *tail)
    if "liveness" in got:
        assert got["liveness"]["datatype"] == "FP32"
        assert result.as_numpy("liveness").shape == ((1,) if service.settings.liveness else (0,))
    if "gate" in got:
        # The simulated embedder and the smaller EdgeFace have none.
        assert got["gate"]["datatype"] == "INT32"
        gated = service.prepared.ids["face_embedding"] == FITTED.embedder
        assert result.as_numpy("gate").tolist() == ([-1] if gated else [])
    assert got["image_size"]["datatype"] == "INT32"
    assert result.as_numpy("image_size").tolist() == [512, 512]
    assert got["models"] | {"datatype": "BYTES", "shape": [2]} == got["models"]
    assert got["complete"] | {"datatype": "BOOL", "shape": [1]} == got["complete"]
    assert result.as_numpy("rotations").tolist() == [0]
    assert result.as_numpy("complete").tolist() == [True]


@pytest.mark.parametrize("transport", ["http", "grpc"])
@pytest.mark.parametrize("pipeline", ["detect_faces", "analyze_faces"])
def test_no_face_is_a_success_with_empty_arrays(service, transport, pipeline):
    result = infer(service, transport, pipeline, FLAT)
    assert result.as_numpy("boxes").shape == (0, 4)
    assert result.as_numpy("landmarks").shape == (0, 5, 2)
    assert result.as_numpy("scores").shape == (0,)
    assert result.as_numpy("rotations").shape == (0,)
    assert result.as_numpy("complete").tolist() == [True]
    assert result.as_numpy("image_size").tolist() == [400, 300]
    if pipeline == "analyze_faces":
        assert result.as_numpy("embeddings").shape == (0, 512)
        assert result.as_numpy("quality").shape == (0,)
        assert result.as_numpy("quality_parts").shape == (0, 16)
        assert result.as_numpy("calibration").shape == (0,)
        assert result.as_numpy("gate").shape == (0,)
        assert result.as_numpy("liveness").shape == (0,)


def test_answers_name_the_models_used(service, client, astronaut):
    ids = service.prepared.ids
    detected, analysis = client.detect(astronaut), client.analyze(astronaut)
    assert detected.models.detector == ids["face_detection"]
    assert detected.models.embedder is None
    assert analysis.models.detector == ids["face_detection"]
    assert analysis.models.embedder == ids["face_embedding"]
    assert client.analyze(FLAT).models.embedder is None
    assert analysis.models.simulated == service.prepared.simulated
    for name in ids.values():
        assert name.startswith("simulated") == service.prepared.simulated


def test_embeddings_have_length_one_and_are_deterministic(client, astronaut):
    first, second = client.analyze(astronaut), client.analyze(astronaut)
    assert np.linalg.norm(first.embeddings, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(first.embeddings, second.embeddings)


def test_an_embedder_reports_its_calibration(service, client, astronaut):
    known = service.prepared.profile.embedder.calibration
    for answer in (client.analyze(astronaut), client.embed(astronaut)):
        if known is None:
            assert answer.calibration is None
        else:
            assert answer.calibration.thresholds == pytest.approx(
                {1e-2: known.thresholds[0], 1e-3: known.thresholds[1], 1e-4: known.thresholds[2]}
            )
            assert answer.calibration.slope == pytest.approx(known.slope)
    found = client.compare(astronaut, astronaut, far=1e-4)
    assert (found.match, found.far) == (None if known is None else True, 1e-4)


def test_embeddings_of_two_embedders_are_refused(service, client, best, astronaut):
    here = client.embed(astronaut)
    with FaceClient(best.urls[0], timeout=60) as other:
        there = other.embed(astronaut)
    if here.models.embedder == there.models.embedder:
        # The detector may be another one: its landmarks must mean the same.
        assert Comparison.between(here, there).similarity > 0.9
    else:
        with pytest.raises(ModelMismatchError, match=f"{here.models.embedder} and "):
            Comparison.between(here, there)


def test_quality_comes_with_its_parts(client, astronaut):
    (face,) = client.analyze(astronaut)
    assert face.quality_parts._fields == PARTS
    assert 0 <= face.quality <= 1
    assert face.quality_parts.confidence == pytest.approx(face.score)
    assert face.quality_parts.resolution == pytest.approx(
        np.linalg.norm(face.landmarks[1] - face.landmarks[0]), rel=1e-4
    )
    assert face.quality_parts.norm > 0
    assert np.isfinite(face.quality_parts).all()


def test_faces_come_largest_first_and_max_faces_keeps_the_largest(client, astronaut):
    every = client.detect(astronaut, min_confidence=0.1)
    areas = every.boxes[:, 2] * every.boxes[:, 3]
    assert (np.diff(areas) <= 0).all()
    few = client.detect(astronaut, min_confidence=0.1, max_faces=1)
    np.testing.assert_array_equal(few.boxes, every.boxes[:1])
    assert len(client.detect(astronaut, min_confidence=0.1, max_faces=1000)) == len(every)


def test_min_confidence_bounds_the_scores(client, astronaut):
    scores = client.detect(astronaut, min_confidence=0.1).scores
    assert (scores >= np.float32(0.1)).all()
    assert len(client.detect(astronaut, min_confidence=1.0)) == 0


def test_more_faces_than_one_batch_of_the_embedder(simulated, astronaut):
    """64 faces need four calls of face_embedding; each face gets what it gets alone."""
    with FaceClient(simulated.urls[0]) as client:
        crowd = client.analyze(astronaut, min_confidence=0)
        assert len(crowd) > 32
        largest = client.analyze(astronaut)
    assert crowd.embeddings.shape == (len(crowd), 512)
    np.testing.assert_allclose(crowd.embeddings[0], largest.embeddings[0], atol=1e-3)
    assert len(np.unique(crowd.embeddings.round(4), axis=0)) > 32


def test_embed_face_takes_the_largest_face(client, astronaut):
    embedding, analysis = client.embed(astronaut), client.analyze(astronaut)
    np.testing.assert_allclose(embedding.vector, analysis.embeddings[0], atol=1e-6)
    assert embedding.face.bbox == analysis[0].bbox


def test_embed_face_without_a_face_is_an_error(client):
    with pytest.raises(NoFaceError, match=r"no face was found with min_confidence=0\.6"):
        client.embed(FLAT)


def test_embed_face_stays_itself_where_only_other_outputs_are_requested(service):
    """The step tells the pipelines from the outputs that the ensembles request of it."""
    with triton_http.InferenceServerClient(service.urls[0].removeprefix("http://")) as raw:
        tensor = triton_http.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([FLAT], np.object_))
        with pytest.raises(InferenceServerException, match="no_face"):
            raw.infer("embed_face", [tensor], outputs=[triton_http.InferRequestedOutput("boxes")])


def test_an_aligned_crop_is_embedded_unchanged(service, client, astronaut):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    crop = cv2.resize(photo[50:190, 150:290], (112, 112))
    embedding = client.embed(cv2.imencode(".png", crop)[1].tobytes(), aligned=True)
    with triton_http.InferenceServerClient(service.urls[0].removeprefix("http://")) as raw:
        tensor = triton_http.InferInput("crops", [1, 112, 112, 3], "UINT8")
        tensor.set_data_from_numpy(np.ascontiguousarray(crop[None, ..., ::-1]))
        direct = raw.infer("face_embedding", [tensor])
    np.testing.assert_allclose(embedding.vector, direct.as_numpy("embedding")[0], atol=1e-5)
    assert direct.as_numpy("norm").shape == (1, 1)
    assert embedding.models.detector is None
    assert embedding.face.score == 1


def test_face_detection_has_its_own_contract(service):
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 160), np.uint8)
    with triton_http.InferenceServerClient(service.urls[0].removeprefix("http://")) as raw:
        tensor = triton_http.InferInput("images", [2, 3, 96, 160], "UINT8")
        tensor.set_data_from_numpy(image)
        result = raw.infer("face_detection", [tensor])
    scores = result.as_numpy("scores")
    assert scores.shape[0] == 2
    assert result.as_numpy("boxes").shape == (*scores.shape, 4)
    assert result.as_numpy("landmarks").shape == (*scores.shape, 5, 2)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert result.as_numpy("model").shape == (2, 1)


def test_health_and_models(service, client):
    health = client.health()
    assert health.ok
    assert health.latency > 0
    models = {model.name: model for model in client.models()}
    assert set(models) == {"face_detection", "face_embedding", *PIPELINES}
    assert all(model.ready for model in models.values())
    for name, model_id in service.prepared.ids.items():
        # The others are called inside the pipelines, which clients don't call.
        if name not in ("face_landmarks", "face_liveness"):
            assert models[name].id == model_id


@pytest.mark.parametrize(
    "path",
    ["systemsharedmemory/status", "cudasharedmemory/status", "repository/index", "trace/setting"],
)
def test_unneeded_apis_are_closed(simulated, path):
    method = "POST" if path.startswith("repository") else "GET"
    request = urllib.request.Request(f"{simulated.urls[0]}/v2/{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.code == 403


# --- unrecognizable faces ---


def gates(service, images, **parameters):
    """The weakest part by `gate` and `quality`, which must agree in all calls; None for no face."""
    reasons = []
    for image in images:
        answers = [
            infer(service, transport, "embed_face", image, **parameters)
            for transport in ("http", "grpc")
        ]
        gate, quality, parts = (
            [answer.as_numpy(name)[0] for answer in answers]
            for name in ("gate", "quality", "quality_parts")
        )
        assert gate[0] == gate[1]
        assert quality[0] == quality[1]
        reasons.append(None if gate[0] == -1 else PARTS[gate[0]])
        assert parts[0].shape == (16,)
    return reasons


def test_degraded_faces_fail_the_gate(real, astronaut):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.resize(photo[20:220, 120:320], None, fx=0.14, fy=0.14, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 45, photo.shape)
    degraded = [
        cv2.GaussianBlur(photo, (0, 0), 7),
        (photo * 0.08).astype(np.uint8),
        (128 + (photo - 128.0) * 0.08).astype(np.uint8),
        np.clip(photo + noise, 0, 255).astype(np.uint8),
        small,
    ]
    files = [cv2.imencode(".png", image)[1].tobytes() for image in degraded]

    assert gates(real, [astronaut]) == [None]
    assert gates(real, files) == ["sharpness", "exposure", "contrast", "noise", "resolution"]


def test_an_aligned_crop_without_a_face_fails_the_gate(real):
    random = np.random.default_rng(0)
    files = []
    for size in (4, 8, 16, 112):
        coarse = random.integers(0, 256, (size, size, 3), np.uint8)
        crop = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
        files.append(cv2.imencode(".png", crop)[1].tobytes())

    assert None not in gates(real, files, aligned=True)


def test_min_quality_leaves_out_or_refuses_faces(real, astronaut):
    sharp = infer(real, "http", "analyze_faces", astronaut).as_numpy("quality")[0]
    assert 0.8 < sharp < 1
    for least, faces in ((float(sharp), 1), (float(np.nextafter(sharp, np.float32(2))), 0)):
        for transport in ("http", "grpc"):
            answer = infer(real, transport, "analyze_faces", astronaut, min_quality=str(least))
            for name in ("boxes", "embeddings", "quality", "quality_parts", "gate", "rotations"):
                assert len(answer.as_numpy(name)) == faces, name
    assert infer(real, "http", "embed_face", astronaut, min_quality="0.5").as_numpy("gate") == [-1]
    with pytest.raises(triton_http.InferenceServerException) as caught:
        infer(real, "http", "embed_face", astronaut, min_quality="0.9999")
    assert caught.value.status() == "400"
    expected = (
        f"[low_quality] the face's quality is {sharp:.2f}, below min_quality=0.9999; it is worst"
    )
    assert expected in str(caught.value)
    with pytest.raises(triton_grpc.InferenceServerException, match="returns no quality") as refused:
        infer(real, "grpc", "detect_faces", astronaut, min_quality="0")
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
