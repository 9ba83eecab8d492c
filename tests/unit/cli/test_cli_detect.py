import os
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from aurum_client import (
    ConnectionFailedError,
    Health,
    InvalidImageError,
    InvalidRequestError,
    ModelIds,
)
from cli_fakes import IDS, faces, records, run

from aurum import batch


def test_detect_searches_folders_and_keeps_the_order(client, folder):
    extra = folder / "notes.txt"  # a file given by name is always sent

    result = run("detect", extra, folder, folder / "b.jpg", "--json", "--concurrency", 3)

    assert result.exit_code == 0, result.output
    names = [Path(record["path"]).relative_to(folder).as_posix() for record in records(result)]
    assert names == ["notes.txt", "a.PNG", "b.jpg", "sub/c.webp"]
    assert client.closed


def test_folders_are_searched_for_every_format(tmp_path):
    kept = ["a.jpg", "b.JPEG", "c.png", "d.webp", "e.HEIC", "f.heif", "g.avif", "h.jfif", "i.JPE"]
    for name in [*kept, "j.gif", "k.mov"]:
        (tmp_path / name).touch()

    assert [path.name for path in batch.find([tmp_path])] == kept


def test_what_is_skipped_in_a_folder_is_counted_and_named_with_the_reason(client, tmp_path):
    for name in ("a.jpg", "b.GIF", "c.gif", "d.gif", "e.gif", "readme", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    (tmp_path / "album").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe.jpg")

    result = run("detect", tmp_path)

    head, *lines = result.stderr.replace(f"{tmp_path}/", "").splitlines()
    assert head.startswith("skipped 10 of 11 (photos are .jpg, ")
    assert lines == [
        "  ending .gif (4): b.GIF, c.gif, d.gif, ...",
        "  can't be read: Too many levels of symbolic links (1): round.jpg",
        "  dangling link (1): gone.jpg",
        "  hidden (1): .hidden.jpg",
        "  link to a folder (1): album",
        "  no ending (1): readme",
        "  not a regular file (1): pipe.jpg",
    ]
    assert result.exit_code == 0
    assert [path.name for path, _ in client.asked] == ["a.jpg"]


def test_what_is_skipped_never_takes_more_than_a_few_lines(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.{number % 100}").touch()
    said = []

    with pytest.raises(batch.NoPhotoError):
        batch.find([tmp_path], said.append)

    assert len(said) == 1 + batch.KINDS_SHOWN + 1
    assert said[0].startswith("skipped 300 of 300")
    assert said[-1] == f"  other reasons ({300 - 3 * batch.KINDS_SHOWN})"


def test_without_anything_skipped_nothing_is_said(client, tmp_path):
    (tmp_path / "a.jpg").touch()

    assert run("detect", tmp_path).stderr == ""


def test_detect_json(client, folder):
    result = run("detect", folder / "b.jpg", "--json")

    assert records(result) == [
        {
            "path": str(folder / "b.jpg"),
            "image_size": [200, 100],
            "faces": [
                {
                    "bbox": {"x": 20.0, "y": 30.0, "width": 40.0, "height": 45.5},
                    "landmarks": {
                        "image_left_eye": {"x": 30.0, "y": 40.0},
                        "image_right_eye": {"x": 50.0, "y": 40.0},
                        "nose": {"x": 40.0, "y": 50.0},
                        "image_left_mouth": {"x": 32.0, "y": 60.0},
                        "image_right_mouth": {"x": 48.0, "y": 60.0},
                    },
                    "score": 0.9,
                    "rotation": 0,
                }
            ],
            "complete": True,
            "models": {"detector": IDS.detector, "embedder": IDS.embedder},
        }
    ]


def test_detect_prints_text(client, folder):
    result = run("detect", folder / "b.jpg")

    assert result.stdout.splitlines() == [
        f"{folder / 'b.jpg'}: 1 face in 200x100",
        "   1  score 0.90  at 20,30  size 40x46",
    ]


def test_detect_passes_its_options_on(client, folder):
    run(
        *("detect", folder / "b.jpg", "--url", "grpc://far:1", "--min-confidence", 0.5),
        *("--max-faces", 2, "--detection-size", 320),
        *("--orientation", "exif", "--no-refine", "--tiles", 4),
    )

    assert client.url == "grpc://far:1"
    options = {
        "min_confidence": 0.5,
        "max_faces": 2,
        "detection_size": 320,
        "orientation": "exif",
        "refine": False,
        "tiles": 4,
    }
    assert client.asked == [(folder / "b.jpg", options)]


def test_options_left_out_are_left_to_the_service(client, folder):
    run("detect", folder / "b.jpg")
    run("detect", folder / "b.jpg", "--refine")

    (_, first), (_, second) = client.asked
    assert set(first.values()) == {None}
    assert second["refine"] is True


def test_detect_reports_rotation_and_that_there_may_be_more_faces(client, folder):
    client.faces["b"] = faces(rotation=90, complete=False)

    text = run("detect", folder / "b.jpg").stdout
    (record,) = records(run("detect", folder / "b.jpg", "--json"))

    assert text.splitlines()[1:] == [
        "   1  score 0.90  at 20,30  size 40x46  turned 90",
        "  more may be found with a larger --detection-size or more --tiles",
    ]
    assert record["faces"][0]["rotation"] == 90
    assert record["complete"] is False


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ((), True),  # a face of 45.5 pixels in 800, of which the detector sees 640: 36.4
        (("--detection-size", 704), False),
        (("--detection-size", 672, "--tiles", 0), True),
        (("--tiles", 2), False),
    ],
)
def test_a_crowd_of_small_faces_hints_at_more(client, folder, options, more):
    client.faces["b"] = faces(20, (800, 600))

    text = run("detect", folder / "b.jpg", *options).stdout

    assert text.endswith("--tiles\n") is more


def test_the_services_detection_size_comes_from_its_setting(client, folder, monkeypatch):
    client.faces["b"] = faces(20, (800, 600))
    monkeypatch.setenv("AURUM_DETECTION_SIZE", "704")

    assert "--tiles" not in run("detect", folder / "b.jpg").stdout


def test_detect_draws_the_faces(client, folder, tmp_path):
    photo = np.full((100, 200, 3), 128, np.uint8)
    for name in ("b.jpg", "sub/b.jpg"):
        cv2.imwrite(str(folder / name), photo)

    result = run("detect", folder, "--draw", tmp_path / "out", "--json")

    first, second = tmp_path / "out" / "b.jpg", tmp_path / "out" / "b-2.jpg"
    assert result.exit_code == 1  # a.PNG and c.webp are empty
    assert [record.get("drawn") for record in records(result)] == [
        *(None, str(first), str(second), None)
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.jpg", "b-2.jpg"}
    moved = abs(cv2.imread(str(first)).astype(int) - 128).max(axis=-1)
    assert moved[50, 15:25].max() > 60  # the left side of the box, x = 20
    assert moved[50, 100:].max() < 10
    assert records(result)[0]["error"]["type"] == "DrawError"


def test_drawing_over_the_photos_is_refused(client, folder):
    result = run("detect", folder / "b.jpg", "--draw", folder)

    assert result.exit_code == 2
    assert client.asked == []


def test_the_address_comes_from_the_settings(client, folder, monkeypatch):
    monkeypatch.setenv("AURUM_HTTP_PORT", "8123")
    run("detect", folder)
    assert client.url == "http://127.0.0.1:8123"

    monkeypatch.setenv("AURUM_URL", "https://faces.example")
    run("detect", folder)
    assert client.url == "https://faces.example"


def test_a_bad_photo_does_not_stop_the_others(client, folder):
    client.errors["b"] = InvalidImageError("the image is corrupt", code="invalid_image")

    result = run("detect", folder, "--json", "--concurrency", 1)

    assert result.exit_code == 1
    good, bad, last = records(result)
    assert "faces" in good
    assert "faces" in last
    assert bad == {
        "path": str(folder / "b.jpg"),
        "error": {
            "code": "invalid_image",
            "type": "InvalidImageError",
            "message": "the image is corrupt",
        },
    }
    assert result.stderr.splitlines()[-1] == f"{folder / 'b.jpg'}: the image is corrupt"


def test_a_folder_without_photos_is_a_usage_error(client, tmp_path):
    result = run("detect", tmp_path)

    assert result.exit_code == 2
    assert "no photo" in result.stderr
    assert client.asked == []


def test_no_argument_is_a_usage_error(client):
    assert run("detect").exit_code == 2


def test_unreachable_service_fails_before_any_photo(client, folder):
    client.health_answer = Health(False, False, None, None, ConnectionFailedError("refused"))

    result = run("detect", folder)

    assert result.exit_code == 3
    assert "http://127.0.0.1:8000: refused" in result.stderr
    assert "make serve" in result.stderr
    assert "aurum up" in result.stderr
    assert client.asked == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionFailedError("gone"), 3),
        (InvalidRequestError("detection_size=99", code="invalid_parameter"), 2),
    ],
)
def test_an_error_that_concerns_all_photos_ends_the_run(client, folder, error, code):
    client.errors["b"] = error

    result = run("detect", folder, "--concurrency", 1)

    assert result.exit_code == code
    assert str(error) in result.stderr
    assert "a.PNG: 1 face" in result.stdout  # earlier results are not lost
    assert "c.webp" not in result.stdout


def test_a_bad_address_is_a_usage_error(folder):
    result = run("detect", folder, "--url", "ftp://x")

    assert result.exit_code == 2
    assert "ftp://x" in result.stderr


def test_a_bad_setting_is_a_usage_error(client, folder, monkeypatch):
    monkeypatch.setenv("AURUM_HTTP_PORT", "many")

    result = run("detect", folder)

    assert result.exit_code == 2
    assert result.stderr.startswith("aurum: AURUM_HTTP_PORT='many': must be")


def test_an_unexpected_exception_is_not_hidden(client, folder):
    client.errors["b"] = ZeroDivisionError("a bug")

    assert isinstance(run("detect", folder).exception, ZeroDivisionError)


def test_simulated_models_are_labelled(client, folder):
    client.health_answer = replace(client.health_answer, models=ModelIds("simulated_x@1", None))

    result = run("detect", folder)

    assert result.exit_code == 0
    assert "SIMULATED" in result.stderr


def test_only_a_few_photos_are_sent_ahead():
    asked, lock = [], threading.Lock()

    def ask(path):
        with lock:
            asked.append(path)
        return path

    photos = [Path(f"{number}.jpg") for number in range(100)]
    stream = batch.answers(photos, ask, concurrency=2)

    assert next(stream) == (photos[0], photos[0])
    assert len(asked) <= 4
    assert [path for path, _ in stream] == photos[1:]
    assert sorted(asked) == sorted(photos)


def test_help_documents_the_exit_codes():
    help_text = " ".join(run("detect", "--help").stdout.split())
    assert "Exit codes: 0 all photos succeeded; 1" in help_text
    assert "3 the service cannot be reached" in help_text
