"""Cached answers of the service, and how verification and parity evaluate them."""

import numpy as np
import pytest
from aurum_client import Analysis, ConnectionFailedError, Faces, InvalidImageError, ModelIds

from aurum.evaluation import ValidationError, ask, lfw, parity, target, verification
from aurum.evaluation.ask import Answer, Photo
from aurum.evaluation.lfw import Pair
from aurum.evaluation.reference import Reference
from aurum.settings import Settings


class Client:
    """Finds one face per byte; refuses `bad`, and raises a connection error for `gone`."""

    def __init__(self):
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def detect(self, data, **options):
        self.asked.append((data, options))
        if data == b"bad":
            raise InvalidImageError("corrupt", code="invalid_image")
        if data == b"gone":
            raise ConnectionFailedError("refused")
        return Faces(*arrays(len(data)), (8, 6), ModelIds("d@1", None))

    def analyze(self, data, **options):
        self.asked.append((data, options))
        embeddings = np.eye(len(data), 4, dtype=np.float32)
        models = ModelIds("d@1", "e@1")
        boxes, landmarks, scores = arrays(len(data))
        parts = np.zeros((len(data), 16), np.float32)
        return Analysis(boxes, landmarks, scores, (8, 6), models, embeddings, scores, parts, None)


def arrays(count):
    numbers = np.arange(count * 15, dtype=np.float32).reshape(count, 15)
    return numbers[:, :4], numbers[:, 4:14].reshape(-1, 5, 2), numbers[:, 14]


@pytest.fixture
def client(monkeypatch):
    client = Client()
    monkeypatch.setattr(target.Target, "client", lambda self, index=0: client)
    return client


def service(identity="one"):
    return target.Target(("http://nowhere",), "d@1", "e@1", identity, Settings())


def photos(*data):
    return [Photo(f"{index}.jpg", lambda item=item: item) for index, item in enumerate(data)]


def everything(*given, **options):
    return dict(ask.everything(*given, **options))


def test_a_rerun_asks_only_for_missing_answers(client, tmp_path):
    first = everything(service(), photos(b"a", b"bb"), tmp_path, min_confidence=0.3)
    again = everything(service(), photos(b"a", b"bb", b"ccc"), tmp_path, min_confidence=0.3)

    assert sorted(data for data, _ in client.asked) == [b"a", b"bb", b"ccc"]
    assert client.asked[0][1] == {"min_confidence": 0.3}
    for name, answer in first.items():
        for kept, new in zip(again[name], answer, strict=True):
            np.testing.assert_array_equal(kept, new)
    assert [answer.faces for answer in again.values()] == [1, 2, 3]


def test_other_options_and_other_bytes_are_other_requests(client, tmp_path):
    everything(service(), photos(b"a"), tmp_path)
    everything(service(), photos(b"a"), tmp_path, max_faces=1)
    everything(service(), photos(b"a"), tmp_path, embed=True)
    everything(service(), photos(b"b"), tmp_path)
    assert len(client.asked) == 4


def test_another_model_invalidates_the_answers(client, tmp_path):
    everything(service("one"), photos(b"a"), tmp_path)
    everything(service("two"), photos(b"a"), tmp_path)
    everything(service("two"), photos(b"a"), tmp_path)
    everything(service("one"), photos(b"a"), tmp_path)
    assert len(client.asked) == 3


def test_a_refused_photo_is_reported_and_asked_for_again(client, tmp_path):
    for _ in range(2):
        found = everything(service(), photos(b"a", b"bad"), tmp_path)
        assert isinstance(found["1.jpg"], InvalidImageError)
        assert found["0.jpg"].faces == 1
    assert [data for data, _ in client.asked].count(b"bad") == 2


def test_answers_before_a_lost_connection_are_kept(client, tmp_path):
    with pytest.raises(ConnectionFailedError):
        everything(service(), photos(b"a", b"gone"), tmp_path, concurrency=1)
    client.asked.clear()
    assert everything(service(), photos(b"a"), tmp_path)["0.jpg"].faces == 1
    assert client.asked == []


# --- verification ---


def answer(boxes, embeddings=None, size=(100, 100)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    points = np.zeros((len(boxes), 5, 2), np.float32)
    if embeddings is None:
        embeddings = np.zeros((len(boxes), 0), np.float32)
    sure = np.ones(len(boxes))
    return Answer(np.array(size, np.int32), boxes, points, sure, embeddings, sure > 0, sure[:0])


def test_the_face_nearest_the_centre_counts():
    assert verification.central(answer([])) is None
    assert verification.central(answer([(0, 0, 60, 60), (45, 45, 10, 10)])) == 1
    assert verification.central(answer([(40, 0, 10, 10), (0, 40, 10, 10)], size=(90, 20))) == 0


PAIRS = [
    Pair(0, True, "a1", "a2"),
    Pair(0, False, "a1", "b1"),
    Pair(1, True, "b1", "b2"),
    Pair(1, False, "a2", "b2"),
]
VECTORS = {"a1": (1, 0), "a2": (0.8, 0.6), "b1": (0, 1), "b2": (0, 1)}


def embedded(vectors=VECTORS):
    arrays_of = {name: np.array(value, np.float32) for name, value in vectors.items()}
    return verification.Embedded(arrays_of, dict.fromkeys(vectors, 1), {})


def test_similarities_are_cosines():
    found = verification.similarities(PAIRS, embedded().vectors)
    assert found.tolist() == pytest.approx([0.8, 0, 1, 0.6])


def test_a_pair_without_a_face_counts_as_two_people():
    without = {name: value for name, value in VECTORS.items() if name != "a2"}
    found = verification.evaluate(PAIRS, embedded(without))
    assert found.scores[0] == found.scores[3] == verification.NO_FACE
    assert found.at_far[0].tar == 0.5


def test_success_rate_and_photos_without_a_face():
    found = verification.Embedded({"a": np.ones(1)}, {"a": 2, "b": 0}, {"c": "corrupt"})
    assert found.without_face == ["b"]
    assert found.success == pytest.approx(1 / 3)


def test_the_worst_pairs_are_farthest_on_the_wrong_side_of_the_threshold():
    scores = np.array([0.9, 0.8, 0.1, 0.2])
    folds = verification.roc.Folds(np.array([0.5]), np.array([0.5]))
    found = verification.Verification(PAIRS, embedded(), scores, folds, (), ())
    # One person at 0.1 is 0.4 below; two people at 0.8 are 0.3 above.
    assert found.worst(2) == [2, 1]


def test_the_report_and_the_raw_scores_are_written(tmp_path):
    result = verification.evaluate(PAIRS, embedded())
    verification.save(result, tmp_path)
    rows = (tmp_path / "pairs.csv").read_text().split()
    assert rows[0] == "fold,same,a,b,similarity,right"
    assert rows[1] == "1,1,a1,a2,0.800000,1"
    assert np.load(tmp_path / "embeddings.npz")["embeddings"].shape == (4, 2)
    text = verification.report(result, service(), "pairs", "aurum validate")
    assert "| pairs: one person, two | 2, 2 in 2 sets |" in text
    assert "0 of 2 accepted" in text
    assert "| embedding success | 100.00% |" in text


def test_missing_photos_are_named_before_any_request(client, tmp_path):
    (tmp_path / "pairs.txt").write_text("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\n")
    with pytest.raises(ValidationError, match=r"3 photos .* first Ann/Ann_0001\.jpg"):
        verification.run(service(), tmp_path, tmp_path / "pairs.txt", tmp_path)
    assert client.asked == []
    assert lfw.photo("Ann", 12) == "Ann/Ann_0012.jpg"


# --- parity ---


def face(x=0.0, embedding=(1.0, 0.0)):
    points = np.array([[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]]) + np.array([x, 0])
    return Reference(
        np.array([[x, 0, 40, 40]], np.float32),
        points[None].astype(np.float32),
        np.array([embedding], np.float32),
    )


def test_parity_by_hand():
    same = parity.compare("r", "w", [face()], [face()])
    assert same.same
    assert (same.faces, same.unmatched, same.least_iou, same.most_pixels) == (1, 0, 1, 0)
    assert same.least_cosine == 1
    moved = parity.compare("r", "w", [face(), face()], [face(), face(x=2)])
    assert not moved.same
    assert moved.least_iou == pytest.approx(38 / 42)
    assert moved.most_pixels == pytest.approx(2)
    turned = parity.compare("r", "w", [face()], [face(embedding=(0.8, 0.6))])
    assert not turned.same
    assert turned.least_cosine == pytest.approx(0.8)


def test_parity_needs_the_same_faces_and_at_least_one():
    none = Reference(np.empty((0, 4)), np.empty((0, 5, 2)), np.empty((0, 2)))
    assert parity.compare("r", "w", [face()], [none]).unmatched == 1
    assert parity.compare("r", "w", [none], [face()]).unmatched == 1
    assert not parity.compare("r", "w", [none], [none]).same


def test_a_reference_without_embeddings_is_compared_by_boxes():
    wanted = face()._replace(embeddings=np.empty((1, 0), np.float32))
    row = parity.compare("r", "w", [wanted], [face()])
    assert np.isnan(row.least_cosine)
    assert row.same
