"""Finding faces in crowds, close-ups, long, small and rotated photos."""

import io
import time

import cv2
import numpy as np
import pytest
import tritonclient.http as triton
from aurum_client import FaceClient, InvalidRequestError
from PIL import Image

from aurum.imaging.decoding.decode import decode

BOX = np.array([178, 63, 90, 113])  # the astronaut's face, in the photo of 512x512


@pytest.fixture
def client(real):
    with FaceClient(real.urls[1], timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def pixels(astronaut):
    return decode(astronaut, 10**7, 10**7)


def jpeg(photo):
    return cv2.imencode(".jpg", np.ascontiguousarray(photo[..., ::-1]), [1, 95])[1].tobytes()


def face(pixels, side):
    """The face and a little around it, as a square."""
    return cv2.resize(pixels[45:195, 148:298], (side, side), interpolation=cv2.INTER_AREA)


# --- crowds ---


def cells(boxes, side):
    """The number of grid cells that contain a face of about the right size."""
    middles = (boxes[:, :2] + boxes[:, 2:] / 2) / side
    good = np.abs(middles % 1 - 0.48).max(axis=1) < 0.15
    good &= np.abs(boxes[:, 3] / side - 0.75) < 0.2
    return len(np.unique(middles[good].astype(int), axis=0))


@pytest.mark.parametrize("across", [8, 12, 16, 20])
def test_a_crowd_is_found_completely_and_no_worse_at_larger_sizes(client, pixels, across):
    photo = jpeg(np.tile(face(pixels, 1280 // across), (across, across, 1)))

    found = [client.detect(photo, detection_size=size) for size in (640, 960, 1280, 2560)]

    counts = [cells(faces.boxes, 1280 // across) for faces in found]
    assert counts[-1] == across**2
    assert counts == sorted(counts)
    assert counts[1] >= 0.99 * across**2  # faces of 38 pixels in the detector's input, and more
    assert all(faces.complete for faces in found)


def test_tiles_find_faces_too_small_for_one_look(client, pixels):
    photo = np.full((3000, 4000, 3), 128, np.uint8)
    for x in range(200, 4000, 900):
        photo[400:480, x : x + 80] = photo[2500:2580, x : x + 80] = face(pixels, 80)
    photo = jpeg(photo)

    assert len(client.detect(photo)) == 0
    assert len(client.detect(photo, tiles=12)) == 10
    assert len(client.analyze(photo, tiles=16)) == 10


@pytest.mark.parametrize("high", [False, True])
def test_a_long_photo_is_split_into_tiles_automatically(client, pixels, high):
    photo = np.full((12000, 800, 3) if high else (800, 12000, 3), 128, np.uint8)
    for at in range(300, 12000, 1200):
        x, y = (300, at) if high else (at, 300)
        photo[y : y + 140, x : x + 140] = face(pixels, 140)

    found = client.detect(jpeg(photo))

    assert len(found) == 10
    assert found.complete


def test_a_photo_too_long_for_the_tiles_is_incomplete(client, pixels):
    photo = np.full((60, 30000, 3), 128, np.uint8)

    assert not client.detect(jpeg(photo)).complete


# --- close-ups ---


@pytest.mark.parametrize("detection_size", [640, 960, 1280])
@pytest.mark.parametrize("share", [0.5, 0.7, 1.0, 1.2])
@pytest.mark.parametrize("portrait", [False, True])
def test_a_close_up_is_found_beside_a_portrait_and_is_the_largest(
    client, pixels, detection_size, share, portrait
):
    scale = 1400 * share / BOX[3]
    shift = 700 - scale * (BOX[:2] + BOX[2:] / 2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    photo = cv2.warpAffine(
        pixels, matrix, (1400, 1400), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if portrait:
        photo[10:130, 10:130] = face(pixels, 120)

    found = client.detect(jpeg(photo), detection_size=detection_size)

    assert len(found) == 1 + portrait
    assert np.abs(found.boxes[0, 2:] - scale * BOX[2:]).max() < 0.2 * scale * BOX[3]


# --- small photos ---


@pytest.mark.parametrize("side", [48, 64, 96, 160])
def test_a_small_photo_is_enlarged(client, pixels, side):
    found = client.detect(jpeg(face(pixels, side)))

    assert len(found) == 1
    assert found.boxes.max() < side + 10


# --- rotated photos ---


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_photo_on_its_side_is_read_upright_by_every_pipeline(client, pixels, turn):
    upright = client.analyze(jpeg(pixels))
    photo = jpeg(np.rot90(pixels, turn))  # counterclockwise, so clockwise is back

    analysis, detected, embedded = client.analyze(photo), client.detect(photo), client.embed(photo)

    assert [len(analysis), len(detected)] == [1, 1]
    assert [analysis[0].rotation, detected[0].rotation, embedded.face.rotation] == [90 * turn] * 3
    assert float(analysis.embeddings[0] @ upright.embeddings[0]) > 0.9
    assert float(embedded.vector @ upright.embeddings[0]) > 0.9
    assert analysis.quality[0] == pytest.approx(upright.quality[0], abs=0.1)
    # Boxes and landmarks are where they are in the photo as sent; eyes still come first.
    middle = upright.boxes[0, :2] + upright.boxes[0, 2:] / 2
    for _ in range(turn):
        middle = np.array([middle[1], 511 - middle[0]])
    assert np.abs(analysis.boxes[0, :2] + analysis.boxes[0, 2:] / 2 - middle).max() < 12
    eyes, mouth = analysis.landmarks[0, :2].mean(axis=0), analysis.landmarks[0, 3:].mean(axis=0)
    down = {0: (0, 1), 1: (1, 0), 2: (0, -1), 3: (-1, 0)}[turn]
    assert (mouth - eyes) @ down > 25
    roll = {0: 0, 1: -90, 2: 180, 3: 90}[turn]
    leans = analysis[0].quality_parts.roll - roll
    assert abs((leans + 180) % 360 - 180) < 20


def test_with_exif_orientation_it_is_read_as_stored(client, pixels):
    photo = jpeg(np.rot90(pixels, 2))

    found = client.detect(photo, orientation="exif")

    assert all(face.rotation == 0 for face in found)


def test_mirrored_orientations_rotate_relative_to_the_upright_photo(client, pixels):
    """EXIF 4 mirrors top to bottom: upright by EXIF is upright, and not rotated again."""
    exif = Image.Exif()
    exif[0x0112] = 4
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[::-1])).save(buffer, "JPEG", exif=exif, quality=95)

    found = client.detect(buffer.getvalue())

    assert found[0].rotation == 0
    assert np.abs(found.boxes[0] - BOX).max() < 12


def looks(real, call):
    """Count the images that `face_detection` gets in the meantime."""
    address = real.settings.http_url.removeprefix("http://")
    with triton.InferenceServerClient(address) as statistics:

        def count():
            stats = statistics.get_inference_statistics("face_detection")
            return sum(int(item["inference_count"]) for item in stats["model_stats"])

        def settled():
            """Triton counts a request shortly after it has answered it."""
            counted, last = count(), -1
            while counted != last:
                time.sleep(0.3)
                counted, last = count(), counted
            return counted

        before = settled()
        call()
        return settled() - before


def test_an_upright_photo_costs_one_look(real, client, astronaut):
    assert looks(real, lambda: client.analyze(astronaut)) == 1


def test_an_empty_photo_costs_only_coarse_looks(real, client):
    photo = jpeg(np.full((500, 500, 3), 90, np.uint8))

    assert looks(real, lambda: client.detect(photo)) == 5
    assert looks(real, lambda: client.detect(photo, orientation="exif")) == 2


# --- the second look ---


def test_a_second_look_makes_shifted_photos_more_similar(client, pixels):
    moved = [np.roll(pixels, (y, x), (0, 1)) for x, y in ((1, 1), (1, 3), (3, 1), (2, 2))]

    def likeness(**options):
        vectors = [
            client.analyze(jpeg(photo), **options).embeddings[0] for photo in (pixels, *moved)
        ]
        return min(float(vectors[0] @ vector) for vector in vectors[1:])

    assert likeness() > 0.97
    assert likeness() > likeness(refine=False)


@pytest.mark.parametrize("option", [{"tiles": 17}, {"orientation": "left"}])
def test_invalid_options_are_refused_by_name(client, astronaut, option):
    with pytest.raises(InvalidRequestError, match=next(iter(option))):
        client.detect(astronaut, **option)
