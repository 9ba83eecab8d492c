"""Liveness through the real service: with AURUM_LIVENESS=1, and without it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from aurum_client import FaceClient
from graphs import has_liveness
from rollout_world import World
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.contract import LIVE_FROM
from aurum.evaluation import attacks
from aurum.paths import PHOTO
from aurum.rollout.validation import Gates
from aurum.server.ephemeral import running
from aurum.settings import Settings


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The default profile with `face_liveness`."""
    if not has_liveness():
        pytest.skip("the liveness checkpoints are not in AURUM_MODEL_MIRROR")
    settings = replace(Settings.from_env(), liveness=True)
    with running(settings, tmp_path_factory.mktemp("liveness")) as service:
        yield service


@pytest.fixture(params=[0, 1], ids=["http", "grpc"])
def live(request, served):
    with FaceClient(served.urls[request.param], timeout=60) as client:
        yield client


@pytest.fixture
def judged(served):
    """The liveness of the largest face of an RGB photo."""
    if served.prepared.simulated:
        pytest.skip("no weights of a detector")
    with FaceClient(served.urls[1], timeout=60) as client:

        def judge(photo, file=".png"):
            data = cv2.imencode(file, np.ascontiguousarray(photo[..., ::-1]))[1].tobytes()
            return client.analyze(data, max_faces=1)[0].liveness_score

        yield judge


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO), cv2.IMREAD_COLOR_RGB)


def test_each_face_has_a_score(live, served, astronaut):
    answer = live.analyze(astronaut)
    assert answer.liveness.shape == (len(answer),)
    assert ((answer.liveness >= 0) & (answer.liveness <= 1)).all()
    face = live.embed(astronaut)
    assert face.liveness_score == pytest.approx(answer[0].liveness_score, abs=1e-5)
    assert face.is_live == (face.liveness_score >= LIVE_FROM)


def test_a_crowd_is_scored_in_batches_and_in_order(live, astronaut):
    crowd = live.analyze(astronaut, min_confidence=0.0, max_faces=30)
    assert len(crowd) > 8
    assert crowd.liveness.shape == (len(crowd),)
    fewer = live.analyze(astronaut, min_confidence=0.0, max_faces=30, min_quality=0.2)
    assert 0 < len(fewer) < len(crowd), "some are left out"
    by_box = {tuple(box): score for box, score in zip(crowd.boxes, crowd.liveness, strict=True)}
    for box, score in zip(fewer.boxes, fewer.liveness, strict=True):
        assert score == pytest.approx(by_box[tuple(box)], abs=1e-5)


def test_where_no_face_or_no_surroundings_are_there_is_no_score(live, photo):
    plain = cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    assert live.analyze(plain).liveness.shape == (0,)
    crop = cv2.imencode(".png", cv2.resize(photo[50:190, 150:290, ::-1], (112, 112)))[1].tobytes()
    aligned = live.embed(crop, aligned=True)
    assert (aligned.liveness_score, aligned.is_live) == (None, None)
    assert live.detect(crop)  # which has no such output


def test_a_face_is_told_from_its_photo(judged, photo):
    def scores(change):
        return [judged(change(photo, np.random.default_rng(seed))) for seed in range(6)]

    assert judged(photo) >= LIVE_FROM
    assert min(scores(attacks.enlarged)) >= LIVE_FROM
    for attack in (attacks.screen, attacks.paper):
        # Some pass: docs/guides/liveness.md has the rates.
        assert np.median(scores(attack)) < LIVE_FROM, attack.__name__


def test_a_face_on_its_side_is_live_too(judged, photo):
    for turns in (1, 2, 3):
        assert judged(np.rot90(photo, turns)) >= LIVE_FROM


def test_a_large_jpeg_that_is_decoded_smaller_is_scored_alike(judged, photo):
    large = cv2.resize(photo, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    assert judged(large, ".jpg") >= LIVE_FROM


def test_the_model_answers_directly_counts_and_names_its_weights(served):
    crops = np.zeros((3, 80, 80, 3), np.uint8)
    with triton.InferenceServerClient(served.urls[0].partition("://")[2]) as client:
        inputs = [triton.InferInput(name, crops.shape, "UINT8") for name in ("crops27", "crops40")]
        for item in inputs:
            item.set_data_from_numpy(crops)
        answer = client.infer("face_liveness", inputs)
    assert answer.as_numpy("liveness").shape == (3, 1)
    assert answer.as_numpy("model")[0, 0].decode() == served.prepared.ids["face_liveness"]
    port = served.settings.metrics_port
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'nv_inference_request_success{model="face_liveness",version="1"}' in text


def test_without_the_setting_nothing_is_loaded(real, astronaut):
    ready = f"{real.urls[0]}/v2/models/face_liveness/ready"
    assert httpx.get(ready).status_code == 400
    with FaceClient(real.urls[0], timeout=60) as client:
        answer = client.analyze(astronaut)
    assert len(answer) == 1
    assert answer.liveness.shape == (0,)
    assert (answer[0].liveness_score, answer[0].is_live) == (None, None)


@pytest.fixture
def world(served, real, tmp_path, monkeypatch):
    monkeypatch.setenv("AURUM_LIVENESS", "1")
    world = World(tmp_path, "edgeface-xs")
    yield world
    world.server.stop()


def test_a_rollout_and_a_restart_keep_it(world, astronaut):
    before = world.answer().liveness
    assert before.shape == (1,)
    world.rollout.stage("edgeface-xxs")
    assert "face_liveness" not in world.store.load().candidate.graphs, "it is in no release"
    assert world.rollout.validate(Gates(rounds=0)).passed
    world.rollout.promote(new_embedding_space=True)
    for step in (lambda: None, world.restart, world.rollout.rollback):
        step()
        np.testing.assert_allclose(world.answer().liveness, before, atol=1e-5)


def test_up_says_what_it_serves_or_why_it_cannot(served, up, settings, tmp_path):
    running = up(AURUM_LIVENESS="1")
    running.wait_for("Ctrl-C")
    assert served.prepared.ids["face_liveness"] in running.text
    running.process.terminate()
    assert running.end() == 0
    # A graph that is left from then is not served.
    assert (settings.repositories / "model_repository/face_liveness/1/model.onnx").is_file()
    running = up()
    running.wait_for("Ctrl-C")
    assert "face_liveness" not in running.text
    running.process.terminate()
    assert running.end() == 0
    nowhere = replace(settings, offline=True, model_cache=tmp_path / "empty")
    running = up(nowhere, AURUM_LIVENESS="1", AURUM_MODEL_MIRROR="")
    assert running.end() == 1
    assert "Or unset AURUM_LIVENESS, which needs it." in running.text
    assert "Traceback" not in running.text


def validate(*arguments):
    return CliRunner().invoke(app, ["validate", "liveness", *map(str, arguments)])


def test_validate_measures_a_running_service(served, real, tmp_path):
    shown = validate(PHOTO, "--faces", 1, "--out", tmp_path, "--url", served.urls[1])
    assert shown.exit_code == 0, shown.output
    assert "| genuine photos | 1 of 1 | 0.9" in shown.output
    assert "| paper, its margin out of view | 1 of 1 |" in shown.output
    assert (tmp_path / "liveness.md").read_text() == shown.output.rstrip("\n") + "\n"
    own = validate(PHOTO, "--attacks", PHOTO, "--out", tmp_path, "--url", served.urls[0])
    assert "| attacks | 1 of 1 | 0.9" in own.output
    assert "100.0% accepted" in own.output
    off = validate(PHOTO, "--out", tmp_path / "off", "--url", real.urls[0])
    assert off.exit_code == 1
    assert "the service doesn't score liveness: it needs AURUM_LIVENESS=1" in off.output
