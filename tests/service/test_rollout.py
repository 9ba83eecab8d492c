"""Rolling a model out and back on a busy server, without a failed or mixed answer."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from aurum_client import FaceClient
from other_models import altered, stage
from rollout_world import Load, World

from aurum.errors import OperatorError
from aurum.models import build
from aurum.models.pull import PullError
from aurum.models.toml_table import ManifestError
from aurum.paths import PHOTO
from aurum.releases.state import Check, StateError
from aurum.rollout import validation
from aurum.rollout.steps import Rollout, RolloutError, active_release
from aurum.server import served_copy
from aurum.server.ephemeral import on_free_ports
from aurum.server.served_copy import ServedCopyError
from aurum.settings import Settings

AURUM = Path(sys.executable).with_name("aurum")
QUICK = validation.Gates(rounds=3)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """By served name: another graph and its id. Its boxes are smaller, its embeddings opposite."""
    folder = tmp_path_factory.mktemp("others")
    prepared = build.prepare(replace(Settings.from_env(), profile="simulated"))
    return {
        "face_detection": altered(
            prepared.graphs["face_detection"], folder / "detector.onnx", unit_boxes=0.9
        ),
        "face_landmarks": altered(prepared.graphs["face_landmarks"], folder / "landmarks.onnx"),
        "face_embedding": altered(
            prepared.graphs["face_embedding"], folder / "embedder.onnx", projection=-1
        ),
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"), "simulated")
    yield world
    world.server.stop()


@pytest.fixture
def world(shared):
    """A server that has seen no rollout."""
    shared.reset()
    return shared


def answers_of(ids):
    """The detector's and embedder's ids as in answers; two of the graphs are the detector's."""
    return tuple(dict.fromkeys(ids.values()))


def test_promote_and_roll_back_under_load_without_a_failed_or_mixed_answer(world, others):
    """Each photo has 64 faces: eight calls of the embedder after one of the detector."""
    old = answers_of(world.old.ids)
    new = answers_of({name: said for name, (_, said) in others.items()})
    whole = {"min_confidence": 0.0}
    truth = {old: world.answer(**whole)}
    with Load(world.settings, **whole) as load:
        load.more()
        stage(world.settings, others)
        done = command(world.settings, "validate", "--rounds", "3")
        assert done.returncode == 0, done.stdout + done.stderr
        load.more()
        assert set(load.answers) == {old}  # neither step has changed what users see
        world.rollout.promote(new_embedding_space=True)
        truth[new] = world.answer(**whole)
        load.more()
        before = len(load.answers[old])
        load.more()
        assert len(load.answers[old]) == before
        world.rollout.rollback()
        load.more()
        before = len(load.answers[new])
        load.more()
        assert len(load.answers[new]) == before
    print(f"{len(load.errors)} failed; answers:", {k: len(v) for k, v in load.answers.items()})
    assert not load.errors
    assert set(load.answers) == {old, new}  # never the detector of one and the embedder of another
    assert not np.allclose(truth[old].embeddings, truth[new].embeddings, atol=0.1)
    for models, answers in load.answers.items():
        for answer in answers:
            assert len(answer) > 32
            np.testing.assert_allclose(answer.boxes, truth[models].boxes, atol=1e-3)
            np.testing.assert_allclose(answer.embeddings, truth[models].embeddings, atol=1e-3)


def test_a_release_survives_restarts(world, others):
    new = answers_of({name: said for name, (_, said) in others.items()})
    stage(world.settings, others)
    world.mark_validated()
    promoted = world.rollout.promote(new_embedding_space=True)
    world.restart()
    assert world.ids() == new
    assert active_release(world.settings).ids == promoted.ids
    assert world.loaded() == [2]  # the previous release is loaded when a rollback needs it
    world.rollout.rollback()
    assert world.ids() == answers_of(world.old.ids)
    assert [event.what for event in world.store.load().history] == ["promote", "rollback"]


def test_aurum_up_serves_the_active_release_and_a_rollback_reaches_every_server(world, others):
    stage(world.settings, others)
    world.mark_validated()
    world.rollout.promote(new_embedding_space=True)
    second = on_free_ports(world.settings)
    started = subprocess.Popen(
        [AURUM, "up"],
        env={**os.environ, **second.to_env(), "AURUM_PLAYGROUND": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        for line in started.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        assert "serving release 2" in said
        assert "AURUM_PROFILE is ignored" in said
        assert "MADE UP" in said
        with FaceClient(second.grpc_url) as client:
            assert client.analyze(PHOTO.read_bytes()).models.embedder == others["face_embedding"][1]
            world.rollout.rollback()
            for models in (client.analyze(PHOTO.read_bytes()).models, world.answer().models):
                assert models.embedder == world.old.ids["face_embedding"]
    finally:
        started.terminate()
        started.communicate(timeout=60)
    assert started.returncode == 0


def test_at_most_two_releases_are_loaded_after_a_promotion(world, others, tmp_path):
    stage(world.settings, others)
    world.mark_validated()
    world.rollout.promote(new_embedding_space=True)
    assert world.loaded() == [1, 2]
    third = altered(others["face_embedding"][0], tmp_path / "third.onnx", projection=-1)
    third = (third[0], third[1])
    stage(world.settings, {**others, "face_embedding": third})
    world.mark_validated()
    world.rollout.promote(new_embedding_space=True)
    assert world.loaded() == [2, 3]
    assert world.ids() == (others["face_detection"][1], third[1])
    assert world.rollout.rollback()[0].number == 2
    with pytest.raises(RolloutError, match="no previous release"):
        world.rollout.rollback()


def assert_unchanged(world) -> None:
    assert world.ids() == answers_of(world.old.ids)
    assert world.store.load().current is None


def test_a_candidate_with_a_wrong_id_fails_and_changes_nothing(world, others):
    (path, said) = others["face_embedding"]
    stage(world.settings, {**others, "face_embedding": (path, said + "0")})
    result = world.rollout.validate(QUICK)
    assert not result.passed
    assert "instead of" in next(check.detail for check in result.checks if not check.ok)
    with pytest.raises(RolloutError, match="failed its validation"):
        world.rollout.promote(new_embedding_space=True)
    assert_unchanged(world)
    world.mark_validated()  # the id is checked again before users get its answers
    with pytest.raises(ServedCopyError, match="instead of"):
        world.rollout.promote(new_embedding_space=True)
    assert_unchanged(world)
    assert world.store.load().history[-1].what == "promote failed"


def test_a_candidate_that_cannot_be_loaded_fails_with_tritons_reason(world, others, tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(others["face_embedding"][0].read_bytes()[:1000])
    stage(world.settings, {**others, "face_embedding": (junk, "junk@0")})
    (check,) = world.rollout.validate(QUICK).checks
    assert "failed to load 'face_embedding'" in check.detail
    world.mark_validated()
    with (
        Load(world.settings) as load,
        pytest.raises(
            ServedCopyError, match=r"failed to load 'face_embedding' version 2.*can't load"
        ),
    ):
        world.rollout.promote(new_embedding_space=True)
    assert not load.errors
    assert_unchanged(world)


def test_a_candidate_damaged_after_validation_is_refused(world, others):
    candidate = stage(world.settings, others)
    world.mark_validated()
    kept = world.store.graph(candidate.graphs["face_embedding"])
    kept.write_bytes(kept.read_bytes()[:-10])
    with pytest.raises(StateError, match="is damaged"):
        world.rollout.promote(new_embedding_space=True)
    assert_unchanged(world)


def test_another_embedding_space_must_be_allowed_explicitly(world, others):
    with pytest.raises(RolloutError, match="nothing is staged"):
        world.rollout.promote()
    stage(world.settings, others)
    with pytest.raises(RolloutError, match="was not validated"):
        world.rollout.promote()
    world.mark_validated()
    with pytest.raises(RolloutError, match="can't be compared with those that you have stored"):
        world.rollout.promote()
    assert_unchanged(world)


@pytest.mark.parametrize("moment", ["load", "_verify"])
def test_a_crash_at_any_step_leaves_one_active_release(world, others, moment):
    """The command ends in the middle of its work, as after kill -9."""
    stage(world.settings, others)
    world.mark_validated()
    code = f"""
import os
from aurum.rollout import steps
from aurum.server.served_copy import Running
from aurum.settings import Settings
loaded = Running.load
Running.load = lambda *of: (loaded(*of), os._exit(9)) if {moment == "load"} else loaded(*of)
if {moment != "load"}:
    steps.Rollout.{moment} = lambda *of: os._exit(9)
steps.Rollout(Settings.from_env(), "a test", print).promote(True)
"""
    environment = {**os.environ, **world.settings.to_env()}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ended.returncode == 9
    new = answers_of({name: said for name, (_, said) in others.items()})
    if moment == "_verify":  # it was already active
        assert world.ids() == new
    else:
        assert_unchanged(world)
        world.rollout.promote(new_embedding_space=True)  # nothing blocks it
        assert world.ids() == new


def test_latency_is_a_condition_only_if_requested(world):
    for limit, ok in ((None, True), (100.0, True), (0.001, False)):
        gates = validation.Gates(rounds=3, max_latency_ratio=limit)
        check = validation._latency(world.server, world.server, gates)
        assert check.ok == ok
        assert "ratio" in check.detail


@pytest.mark.parametrize(("after", "ok"), [(0.99, True), (0.986, True), (0.98, False)])
def test_accuracy_may_not_drop_more_than_allowed(best, after, ok):
    measured = iter([after, 0.99])
    check = validation._accuracy(
        best.server, best.server, validation.Gates(), lambda url: next(measured)
    )
    assert check.ok == ok


def test_a_second_concurrent_command_is_refused(world, others, monkeypatch):
    stage(world.settings, others)
    refused = []

    def meanwhile(*of):
        with pytest.raises(RolloutError, match="another rollout command is running"):
            Rollout(world.settings, "another", print).rollback()
        refused.append(True)
        return (Check("nothing", True, ""),)

    monkeypatch.setattr(validation, "validate", meanwhile)
    world.rollout.validate(QUICK)
    assert refused


def test_stage_says_why_it_fails(world, tmp_path):
    with pytest.raises(ManifestError, match="there is no profile 'nobody'"):
        world.rollout.stage("nobody")
    with pytest.raises(RolloutError, match="is already served"):
        world.rollout.stage("simulated")
    nowhere = replace(world.settings, offline=True, model_mirror="", model_cache=tmp_path / "cache")
    for profile in ("edgeface-xs", "auto"):
        with pytest.raises(
            (PullError, RolloutError), match=r"yunet_s_dynamic\.onnx is unavailable"
        ):
            Rollout(nowhere, "a test", print).stage(profile)
    prepared = build.prepare(replace(world.settings, model_cache=tmp_path / "damaged"))
    graph = prepared.graphs["face_embedding"]
    graph.write_bytes(graph.read_bytes()[:-10])
    with pytest.raises(OperatorError, match="is damaged"):
        Rollout(replace(world.settings, model_cache=tmp_path / "damaged"), "a test", print).stage(
            "simulated"
        )
    assert_unchanged(world)
    assert world.store.load().candidate is None


def test_a_damaged_state_stops_no_running_server_but_prevents_a_start(world, others):
    stage(world.settings, others)
    world.mark_validated()
    world.rollout.promote(new_embedding_space=True)
    state = world.settings.rollout / "state.json"
    whole = state.read_bytes()
    # Enough requests to reach both processes of each_face, which keep the last valid state.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.ids(), range(16)))
    state.write_bytes(whole[:100])
    assert world.ids() == answers_of({name: said for name, (_, said) in others.items()})
    with pytest.raises(StateError, match=r"state\.json can't be read"):
        world.rollout.rollback()
    with pytest.raises(StateError, match="To fix"):
        active_release(world.settings)
    state.write_bytes(whole)
    world.rollout.rollback()
    assert world.ids() == answers_of(world.old.ids)


def test_tritons_own_apis_for_changing_models_are_closed(world):
    for action in ("load", "unload"):
        url = f"{world.settings.http_url}/v2/repository/models/face_embedding/{action}"
        assert httpx.post(url, json={}).status_code in (403, 404)
    # Whatever is in the checkout, only a rollout reaches users.
    folder = world.settings.repositories / "model_repository" / "face_embedding" / "7"
    folder.mkdir()
    try:
        (folder / "model.onnx").write_bytes(world.old.graphs["face_embedding"].read_bytes())
        time.sleep(2 * served_copy.POLL)  # there is no signal that nothing will happen
        assert world.loaded() == [1]
    finally:
        (folder / "model.onnx").unlink()
        folder.rmdir()


def command(settings, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [AURUM, "rollout", *arguments],
        env={**os.environ, **settings.to_env()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_with_real_models(tmp_path, real, people):
    """edgeface-xs -> edgeface-xxs and back, only with the command line, on a running server."""
    world = World(tmp_path, "edgeface-xs")
    pairs = ("--pairs", str(people / "pairs.txt"), "--photos", str(people / "faces"))
    try:
        for arguments, words in {
            ("stage", "edgeface-xxs"): "staged release 2",
            ("validate", "--rounds", "3", *pairs): "ok   accuracy: 100.00%, 100.00% for the served",
            ("promote", "--new-embedding-space"): "active: release 2",
        }.items():
            done = command(world.settings, *arguments)
            assert done.returncode == 0, done.stderr
            assert words in done.stdout
        answer = world.answer()
        assert answer.models.embedder.startswith("edgeface_xxs_q@")
        assert answer.models.detector == world.old.ids["face_detection"]
        assert answer.calibration is not None
        state = json.loads(command(world.settings, "status", "--json").stdout)
        assert [event["what"] for event in state["history"]] == ["stage", "validate", "promote"]
        assert state["history"][-1]["previous"] == 1
        # The detector is unchanged, so it was not loaded again.
        versions = {"face_detection": [1], "face_landmarks": [1], "face_embedding": [1, 2]}
        assert state["servers"] == {world.settings.http_url: versions}
        done = command(world.settings, "rollback")
        assert done.returncode == 0, done.stderr
        assert "can't be compared" in done.stdout
        assert world.answer().models.embedder == world.old.ids["face_embedding"]
        refused = command(world.settings, "promote")
        assert refused.returncode == 1
        assert "nothing is staged" in refused.stderr
    finally:
        world.server.stop()
