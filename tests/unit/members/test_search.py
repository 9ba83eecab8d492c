"""Ranking members and deciding."""

import numpy as np
import pytest
from bulk_output import face, like, row, vectors

from aurum import members
from aurum.members import MembersError, search
from aurum.members.errors import ArgumentError


def test_the_likest_members_come_first(crowd):
    table, v = crowd(300)
    found = table.search(face(like(v[7], 0.8)), top=3)
    first, second, third = found.candidates
    assert first.member == "m7"
    assert first.similarity == pytest.approx(0.8, abs=1e-4)
    assert first.similarity > second.similarity >= third.similarity
    assert (first.match, second.match) == (True, False)
    assert first.probability > 0.5 > second.probability
    assert (found.far, found.threshold, found.faces) == (1e-4, pytest.approx(0.4), 300)


def test_a_search_is_exact(crowd):
    table, v = crowd(2000)
    query = vectors(1, seed=9)[0]
    wanted = np.argsort(-(v @ query))[:20]
    found = table.search(face(query), top=20).candidates
    assert [one.member for one in found] == [f"m{index}" for index in wanted]
    assert [one.similarity for one in found] == pytest.approx(v[wanted] @ query, abs=1e-5)


def test_several_faces_of_a_member_count_once(built):
    (query,) = vectors(1)
    rows = [row(f"ann/{index}", like(query, 0.9 - index / 1000, index + 1)) for index in range(250)]
    rows += [row("bob/1", like(query, 0.5, 900)), row("cat/1", like(query, 0.4, 901))]
    found = built(rows, by_folder=True).search(face(query), top=3).candidates
    assert [(one.member, one.photo) for one in found] == [
        ("ann", "ann/0"),
        ("bob", "bob/1"),
        ("cat", "cat/1"),
    ]


def test_by_the_best_face_or_by_the_mean(built):
    query, other = vectors(2)
    ann = [like(query, 0.7), other]  # one photo is very like the query, the other is not at all
    bob = [like(query, 0.6, 5), like(query, 0.6, 6)]
    rows = [row(f"ann/{n}", one) for n, one in enumerate(ann)]
    rows += [row(f"bob/{n}", one) for n, one in enumerate(bob)]
    table = built(rows, by_folder=True)
    assert [one.member for one in table.search(face(query)).candidates] == ["ann", "bob"]
    found = table.search(face(query), by="mean").candidates
    assert [one.member for one in found] == ["bob", "ann"]
    for one, photos in zip(found, (bob, ann), strict=True):
        mean = np.mean(photos, axis=0)
        assert one.similarity == pytest.approx(mean @ query / np.linalg.norm(mean), abs=1e-4)


def test_false_matches_are_per_search(crowd):
    table, v = crowd(1000)
    found = table.search(face(v[0]), false_matches=0.1)
    assert found.far == pytest.approx(1e-4)
    assert found.threshold == pytest.approx(0.4)
    assert found.note is None
    stricter = table.search(face(v[0]), false_matches=0.01)
    assert stricter.threshold == pytest.approx(0.5)
    assert "extrapolated" in stricter.note


def test_a_rate_that_the_data_cannot_show_gives_a_list_without_a_decision(crowd):
    table, v = crowd(1000)
    found = table.search(face(v[3]), false_matches=1e-4)
    assert found.threshold is None
    assert "can't show a false accept rate of 1e-07" in found.reason
    assert found.candidates[0].member == "m3"
    assert found.candidates[0].match is None
    assert found.candidates[0].probability > 0.9  # which is a matter of the similarity alone


def test_a_face_that_is_not_recognizable_gives_no_decision(crowd):
    table, v = crowd(10)
    found = table.search(face(v[3], recognizable=False, defect="sharpness"))
    assert found.reason == "the face is not recognizable: sharpness"
    assert {one.match for one in found.candidates} == {None}
    assert {one.probability for one in found.candidates} == {None}


def test_an_uncalibrated_embedder_gives_no_decision(built):
    v = vectors(2)
    found = built([row("ann", v[0])], calibration=None).search(face(v[0]))
    assert "was not calibrated" in found.reason
    assert (found.candidates[0].match, found.candidates[0].probability) == (None, None)


def test_the_prior_shifts_the_probability(crowd):
    table, v = crowd(99)
    query = face(like(v[0], 0.5))
    ours = table.search(query).candidates[0].probability
    assert ours == pytest.approx(table.search(query, prior=0.01).candidates[0].probability)
    assert ours < table.search(query, prior=0.5).candidates[0].probability


def test_another_models_query_is_refused(crowd):
    table, v = crowd(3)
    with pytest.raises(MembersError, match="the query was embedded by other@2, but") as refusal:
        table.search(face(v[0], embedder="other@2"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "options",
    [
        {"top": 0},
        {"top": 1001},
        {"far": 0},
        {"far": 0.02},
        {"far": float("nan")},
        {"false_matches": 0},
        {"false_matches": float("nan")},
        {"false_matches": float("inf")},
        {"far": 1e-4, "false_matches": 0.01},
        {"by": "worst"},
        {"prior": 1},
    ],
)
def test_arguments_that_are_not_allowed(crowd, options):
    table, v = crowd(3)
    with pytest.raises(ArgumentError, match=next(iter(options))):
        table.search(face(v[0]), **options)


@pytest.mark.parametrize(("times", "reason"), [(3, "Not found: x"), (4, "Not found: x"), (1, "IO")])
def test_a_search_looks_again_if_a_removal_took_its_files(crowd, monkeypatch, times, reason):
    table, v = crowd(3)
    nearest, left = search._nearest, [RuntimeError(f"lance error: {reason}")] * times

    def failing(*arguments):
        if left:
            raise left.pop()
        return nearest(*arguments)

    monkeypatch.setattr(search, "_nearest", failing)
    if (times, reason) == (3, "Not found: x"):
        assert table.search(face(v[1])).candidates[0].member == "m1"
    else:
        with pytest.raises(RuntimeError, match=reason):
            table.search(face(v[1]))
        assert len(left) == 0


def test_a_face_is_added_once(crowd, tmp_path):
    table, _ = crowd(5)
    (new,) = vectors(1, seed=5)
    table.add("o'hara", face(new), photo="it's.jpg")
    other = members.open(tmp_path / "db")
    assert other.search(face(new), top=1).candidates[0].member == "o'hara"
    with pytest.raises(MembersError, match="already has a face from this photo"):
        other.add("o'hara", face(new), photo="it's.jpg")
    assert len(table) == 6
    assert other.remove(["o'hara"]) == 1
    assert len(table) == 5  # an open table sees what others have done


@pytest.mark.parametrize(
    ("member", "changed", "message"),
    [
        ("ann", {"embedder": "other@2"}, "was embedded by other@2"),
        ("ann", {"recognizable": False, "defect": "noise"}, "not recognizable: noise"),
        ("", {}, "printable"),
        ("a\nb", {}, "printable"),
        ("x" * 1001, {}, "1000 printable"),
    ],
)
def test_faces_that_are_not_added(crowd, member, changed, message):
    table, v = crowd(3)
    with pytest.raises(MembersError, match=message):
        table.add(member, face(v[0], **changed), photo="p.jpg")
    assert len(table) == 3


def test_a_folder_without_members(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(MembersError, match="there are no members"):
            members.open(folder)


def test_a_table_that_is_not_ours(tmp_path):
    import lancedb

    lancedb.connect(str(tmp_path)).create_table("members", [{"vector": [1.0, 2.0]}])
    with pytest.raises(MembersError, match="not made by `aurum faces`"):
        members.open(tmp_path)
