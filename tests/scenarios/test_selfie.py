"""A member's selfie: Ann registers with one and is recognized by another.

Ann is Eileen Collins and Bob is Grace Hopper: portraits that may be published. There is only one
of each, so Ann's other selfies are derived from hers; other real photos come from LFW.
"""

from pathlib import Path

import pytest

from aurum.evaluation import disguise, variants
from benchmarks.gallery import scenes

pytestmark = pytest.mark.usefixtures("real")


def test_a_member_registers_and_is_known_again(app, photos, seen):
    reply = app.keep("ann", photos.ann)
    assert (reply.status, reply.accepted, reply.source) == (200, True, "triton")
    seen(f'Ann registers. She is told: "{reply.message}" Her score: {reply.score} of 100.')

    marks = photos.scene.marked.landmarks[0]
    with_glasses = scenes.encode(disguise.sunglasses(photos.scene.photo, marks))
    for what, photo in {
        "the same selfie": photos.ann,
        "in a tenth of the light": variants.low_light(photos.scene, 0.1).data,
        "with sunglasses": with_glasses,
        "moved, as JPEG of quality 20": variants.compressed(photos.scene, 20).data,
        "close up": variants.close_up(photos.scene, 0.7, 640).data,
    }.items():
        later = app.compare("ann", photo)
        assert later.match is True, what
        seen(f"Later, {what}: similarity {later.similarity:.2f}, it is Ann.")

    other = app.compare("ann", photos.bob)
    assert other.match is False
    seen(f"Bob says he is Ann: similarity {other.similarity:.2f}, it is not Ann.")
    assert app.compare("carol", photos.bob).status == 404


def test_people_with_two_real_photos_each(app, lfw, seen):
    """The first 20 people of LFW's pairs, and the first 20 pairs of two people."""
    same, different = pairs(lfw, 20)
    kept = {}
    for person, first, _ in same:
        kept[person] = app.keep(person, first).accepted
    accepted = [pair for pair in same if kept[pair[0]]]
    right = sum(app.compare(person, second).match for person, _, second in accepted)
    seen.measured(f"Of {len(same)} real people's photos {len(accepted)} were taken as selfies.")
    seen.measured(f"By another photo of theirs {right} of these {len(accepted)} were known again.")
    strangers = [app.compare(accepted[0][0], photo).match for photo in different]
    seen.measured(
        f"Of {len(strangers)} photos of other people {sum(strangers)} were taken for the first."
    )
    assert len(accepted) >= 15
    assert right >= len(accepted) - 1
    assert sum(strangers) == 0


def pairs(lfw: Path, count: int):
    """(name, a photo, another photo) of different people; and photos of yet other people."""

    def photo(name: str, number: str) -> bytes:
        return (lfw / "images" / name / f"{name}_{int(number):04d}.jpg").read_bytes()

    lines = [line.split() for line in (lfw / "pairs_dev.txt").read_text().splitlines()[1:]]
    same = {line[0]: line for line in lines if len(line) == 3}
    different = {line[0]: line for line in lines if len(line) == 4 and line[0] not in same}
    return (
        [(name, photo(name, a), photo(name, b)) for name, a, b in list(same.values())[:count]],
        [photo(name, a) for name, a, *_ in list(different.values())[:count]],
    )
