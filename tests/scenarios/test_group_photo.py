"""A group photo: every face is found, and the member is recognized among them."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from aurum_client import FaceClient

from aurum.paths import CHECKOUT
from benchmarks.gallery import scenes

pytestmark = pytest.mark.usefixtures("real")


def test_a_member_among_forty_faces(app, photos, service, seen):
    """Ann and Bob in turn, 20 times each: no real group photo of that size may be published."""
    wall = next(photo for photo in gallery(service) if photo.title.startswith("40 faces"))
    app.keep("ann", photos.ann)
    reply = app.group("ann", wall.data)
    found = [face for face in reply.faces if face["match"]]
    assert len(reply.faces) == len(wall.people) == 40
    anns = {
        tuple(box) for box, who in zip(wall.boxes, wall.people, strict=True) if who == "Collins"
    }
    assert len(found) == len(anns) == 20
    for face in found:  # every match is where Ann is
        middle = np.array([face["bbox"]["x"], face["bbox"]["y"]])
        assert min(np.abs(middle - box[:2]).max() for box in anns) < 20
    seen(f"{len(reply.faces)} faces, {len(found)} of them Ann's, each where she is.")


def test_a_member_beside_a_real_group(app, photos, service, photo_folder, seen):
    """Real people, small and large, with Ann's portrait beside them."""
    app.keep("ann", photos.ann)
    for name in ("src_meeting.jpg", "src_friends.jpg", "crowd_3.jpg"):
        group = (photo_folder / name).read_bytes()
        with FaceClient(service.urls[0]) as client:
            others = len(client.detect(group))
        picture = scenes.decode(group)
        side = picture.shape[0] // 2
        ann = cv2.resize(scenes.decode(photos.ann), (side, side))
        strip = np.zeros((picture.shape[0], side, 3), np.uint8)
        strip[:side] = ann
        reply = app.group("ann", scenes.encode(np.hstack([picture, strip])))
        found = [face for face in reply.faces if face["match"]]
        seen.measured(
            f"{name}: {len(reply.faces)} faces of {others + 1}, {len(found)} of them Ann's."
        )
        assert [face["bbox"]["x"] > picture.shape[1] for face in found] == [True]
        assert len(reply.faces) >= others


@pytest.fixture(scope="session")
def photo_folder():
    folder = Path(os.environ.get("AURUM_TEST_PHOTOS") or CHECKOUT.parent / "shared" / "photos")
    if not folder.is_dir():
        pytest.skip("no group photos: set AURUM_TEST_PHOTOS to a folder that has them")
    return folder


def gallery(service):
    from benchmarks.gallery.judge import Judge

    with FaceClient(service.urls[0]) as client:
        yield from scenes.pictures(Judge(client).find)
