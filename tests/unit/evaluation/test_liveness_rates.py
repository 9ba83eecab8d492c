"""Attacks made by code, and the report of liveness' error rates."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from aurum.contract import LIVE_FROM
from aurum.evaluation import ValidationError, ask, attacks, liveness
from aurum.evaluation.ask import Answer
from aurum.evaluation.liveness import Scores
from aurum.paths import PHOTO

TARGET = SimpleNamespace(detector="a@detector")


@pytest.fixture(scope="module")
def photo():
    return cv2.imread(str(PHOTO), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("name", attacks.KINDS)
def test_an_attack_is_a_picture_of_the_photo_and_the_same_every_time(photo, name):
    made = attacks.KINDS[name](photo, np.random.default_rng(1))
    assert (made.shape, made.dtype) == ((attacks.HEIGHT, attacks.WIDTH, 3), np.uint8)
    again = attacks.KINDS[name](photo, np.random.default_rng(1))
    np.testing.assert_array_equal(made, again)
    assert (made != attacks.KINDS[name](photo, np.random.default_rng(2))).mean() > 0.5


def test_out_of_view_means_that_the_photo_fills_the_picture():
    white = np.full((100, 100, 3), 255, np.uint8)
    for kind in ("screen", "paper"):
        spans = [
            kind,
            next(name for name in attacks.KINDS if name.startswith(f"{kind},")),
        ]
        corners = []
        for name in spans:
            made = attacks.KINDS[name](white, np.random.default_rng(3)).astype(float)
            middle = made[400:560, 280:440].mean()
            corners.append(abs(made[440:520, :40].mean() - middle))
        assert corners[0] > corners[1] + 20, kind


def test_the_comparison_is_no_attack(photo):
    made = attacks.enlarged(photo, np.random.default_rng(0)).astype(float)
    same = cv2.resize(photo, made.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    assert np.abs(made - same).mean() < 4


def scores(name, *values):
    return Scores(name, len(values) + 1, np.array(values, np.float32))


def test_the_report_counts_both_errors_and_says_what_was_made():
    real = [scores("genuine photos", 0.9, 0.8, LIVE_FROM, 0.2)]
    false = [scores("paper", 0.1, LIVE_FROM), scores("screen", 0.1, 0.1), scores("no face")]
    text = liveness.report(real, false, TARGET, "the command", made=True)
    assert "| genuine photos | 4 of 5 | 0.650 | 25.0% refused (" in text
    assert "| paper | 2 of 3 | 0.300 | 50.0% accepted (" in text
    assert "| no face | 0 of 1 | - | - |" in text
    assert "| 0.5 | 25.0% | 25.0% |" in text
    assert "| 0.9 | 75.0% | 0.0% |" in text
    assert "no photo of a real attack" in text
    given = liveness.report(real, false, TARGET, "the command", made=False)
    assert "The attacks are the given photos." in given


@pytest.fixture
def answering(monkeypatch):
    """Answer each photo with one face of this liveness; None: the service doesn't score it."""

    def answers(score):
        def everything(target, photos, out, **options):
            assert options["max_faces"] == 1
            for item in photos:
                try:
                    cv2.imdecode(np.frombuffer(item.load(), np.uint8), cv2.IMREAD_COLOR)
                except ValidationError:
                    continue  # as ask.everything
                found = np.array([] if score is None else [score], np.float32)
                yield item.name, Answer(None, None, None, np.ones(1), None, None, found)

        monkeypatch.setattr(ask, "everything", everything)

    return answers


def test_without_attacks_of_your_own_they_are_made_from_some_photos(answering, tmp_path):
    answering(0.75)
    real, false = liveness.run(TARGET, [PHOTO], [], tmp_path, faces=1)
    assert [item.name for item in real] == ["genuine photos", "the same, enlarged"]
    assert [item.name for item in false] == list(attacks.KINDS)


def test_attacks_of_your_own_are_taken(answering, tmp_path):
    answering(0.75)
    _, (false,) = liveness.run(TARGET, [PHOTO], [PHOTO, tmp_path / "none.jpg"], tmp_path, faces=1)
    assert (false.name, false.photos, len(false.liveness)) == ("attacks", 2, 1)


def test_a_service_without_liveness_is_named(answering, tmp_path):
    answering(None)
    with pytest.raises(ValidationError, match="it needs AURUM_LIVENESS=1"):
        liveness.run(TARGET, [PHOTO], [], tmp_path, faces=1)


def test_without_a_readable_photo_there_is_no_rate(answering, tmp_path):
    answering(0.5)
    with pytest.raises(ValidationError, match="genuine photos: no photo can be read and has"):
        liveness.run(TARGET, [tmp_path / "none.jpg"], [], tmp_path, faces=1)
