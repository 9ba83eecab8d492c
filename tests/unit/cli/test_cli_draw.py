import io

import images
import numpy as np
import pytest
from aurum_client import Faces, ModelIds
from PIL import Image

from aurum.cli import CommandError, draw
from aurum.settings import Settings

LANDMARKS = np.array([[70, 60], [100, 60], [85, 75], [75, 90], [95, 90]], np.float32)


def faces(box=(60, 40, 50, 60), rotation=0):
    return Faces(
        np.array([box], np.float32),
        LANDMARKS[None],
        np.float32([0.87]),
        (200, 150),
        ModelIds("detector@1", None),
        rotations=np.int32([rotation]),
    )


def changed(marked):
    return (marked != 128).any(axis=-1)


@pytest.fixture
def gray():
    return np.full((150, 200, 3), 128, np.uint8)


def test_the_box_the_landmarks_and_the_score_are_drawn(gray):
    marked = draw.mark(gray, faces())

    assert (gray == 128).all()  # the photo itself is unchanged
    for x, y in ((60, 70), (110, 70), (85, 40), (85, 100)):  # the middles of the box's sides
        assert tuple(marked[y, x]) == draw.BOX
    for (x, y), colour in zip(LANDMARKS.astype(int), draw.LANDMARKS, strict=True):
        assert tuple(marked[y, x]) == colour
    assert changed(marked)[25:39, 60:110].any()  # the score, above the box
    assert not changed(marked)[110:].any()
    assert not changed(marked)[:, :55].any()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_an_arrow_points_to_the_top_of_a_rotated_face(gray, rotation):
    marked = draw.mark(gray, faces(rotation=rotation))

    # Halfway between the centre and each side, where there is no landmark.
    points = {90: (70, 70), 180: (85, 93), 270: (100, 70), "upright": (85, 50)}
    drawn = [turn for turn, (x, y) in points.items() if changed(marked)[y, x]]
    assert drawn == ([rotation] if rotation else [])


def test_image_left_and_right_have_different_colours():
    left_eye, right_eye, nose, left_mouth, right_mouth = draw.LANDMARKS
    assert left_eye == left_mouth
    assert right_eye == right_mouth
    assert len({left_eye, right_eye, nose, draw.BOX}) == 4


def test_the_score_stays_inside_the_photo(gray):
    marked = draw.mark(gray, faces((-30, -20, 100, 60)))

    assert changed(marked)[2:20, 0:40].any()


def test_the_line_width_follows_the_size(gray):
    large = np.full((3000, 4000, 3), 128, np.uint8)

    marked = draw.mark(large, faces((1000, 1000, 1000, 1000)))

    assert (marked[1500] == draw.BOX).all(axis=-1)[900:1100].sum() >= 8
    narrow = draw.mark(gray, faces())
    assert (narrow[95] == draw.BOX).all(axis=-1)[55:65].sum() == 1


@pytest.mark.parametrize("name", ["in.jpg", "in.png"])
def test_the_upright_photo_is_saved(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # must be rotated clockwise by 90 degrees
    data = io.BytesIO()
    photo = Image.new("RGB", (150, 200), (200, 30, 30))
    photo.save(data, "JPEG" if name.endswith("jpg") else "PNG", exif=exif)
    (tmp_path / name).write_bytes(data.getvalue())

    target = tmp_path / f"out-{name}"
    draw.save(tmp_path / name, faces(), target, Settings())

    with Image.open(target) as drawn:
        assert drawn.format == ("JPEG" if name.endswith("jpg") else "PNG")
        assert drawn.size == (200, 150)
        red, green, blue = drawn.convert("RGB").getpixel((5, 140))
    assert red > 180  # not blue, as it would be with red and blue swapped
    assert green < 50
    assert blue < 50


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_drawings_of_uncommon_formats_are_jpegs(tmp_path, kind):
    data, size = images.good()[f"{kind} orientation 6"]
    path = tmp_path / f"in.{kind}"
    path.write_bytes(data)

    (target,) = draw.targets([path], tmp_path / "out").values()
    draw.save(path, faces(), target, Settings())

    assert target.name == "in.jpg"
    with Image.open(target) as drawn:
        assert drawn.format == "JPEG"
        assert drawn.size == size


def test_save_reports_errors(tmp_path):
    (tmp_path / "in.jpg").write_bytes(b"no photo")

    with pytest.raises(draw.DrawError, match=r"out\.jpg.*not an image"):
        draw.save(tmp_path / "in.jpg", faces(), tmp_path / "out.jpg", Settings())


def test_output_names_never_collide(tmp_path):
    names = ("a/x.jpg", "b/x.jpg", "b/X.JPG", "b/x.png", "c/x.webp", "c/x-2.jpg")
    photos = [tmp_path / name for name in names]

    found = draw.targets(photos, tmp_path / "out" / "deep")

    assert list(found) == photos
    assert [path.name for path in found.values()] == [
        *("x.jpg", "x-2.jpg", "X-3.JPG", "x.png", "x-4.jpg", "x-2-2.jpg"),
    ]
    assert {path.parent for path in found.values()} == {tmp_path / "out" / "deep"}
    assert (tmp_path / "out" / "deep").is_dir()


def test_photos_are_never_overwritten(tmp_path):
    (tmp_path / "x.jpg").touch()
    (tmp_path / "same").symlink_to(tmp_path)

    with pytest.raises(CommandError, match="would replace") as caught:
        draw.targets([tmp_path / "x.jpg"], tmp_path / "same")
    assert caught.value.code == 2


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "out").touch()

    with pytest.raises(CommandError, match="File exists"):
        draw.targets([tmp_path / "x.jpg"], tmp_path / "out")
