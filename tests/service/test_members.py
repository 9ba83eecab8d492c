"""`aurum faces` with a real server and a real database: enrol, search, remove by photo."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import bulk_output
import cv2
import doc_blocks
import pytest
from aurum_client import FaceClient

from aurum import members
from aurum.members import MembersError
from aurum.paths import PHOTO

HOPPER = PHOTO.with_name("hopper.jpg")


def faces(*arguments, code=0):
    """Run `aurum faces`; return its output and its errors."""
    command = [Path(sys.executable).with_name("aurum"), "faces", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def other_photo(tmp_path):
    """The astronaut once more: smaller, mirrored, compressed."""
    photo = cv2.resize(cv2.imread(str(PHOTO)), None, fx=0.6, fy=0.6)[:, ::-1]
    path = tmp_path / "other.jpg"
    cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return path


def test_from_a_bulk_run_to_a_search(real, tmp_path, other_photo):
    output = bulk_output.of_photos(real, tmp_path / "out", {"eileen": PHOTO, "grace": HOPPER})
    said, errors = faces("build", output, "--db", tmp_path / "db")
    assert (said, errors) == ("2 faces of 2 members enrolled\n", "")
    said, _ = faces(
        *("search", other_photo, "--db", tmp_path / "db", "--json", "--url", real.urls[0])
    )
    found = json.loads(said)
    first, second = found["candidates"]
    assert (first["member"], first["match"], second["match"]) == ("eileen", True, False)
    assert first["probability"] > 0.9 > second["probability"]
    assert found["faces"] == 2


def test_the_guides_commands_run_as_pasted(real, tmp_path, other_photo):
    folder = tmp_path / "checkout"
    folder.mkdir()
    doc_blocks.as_checkout(folder)
    bulk_output.of_photos(real, folder / "BULK_OUTPUT", {"grace": HOPPER})
    shutil.copy(PHOTO, folder / "selfie.jpg")
    shutil.copy(other_photo, folder / "guest.jpg")
    http = real.urls[0]
    blocks = doc_blocks.named("docs/guides/members.md")
    said = doc_blocks.run(blocks["commands"], folder, environment={"AURUM_URL": http}).splitlines()
    assert said[:2] == ["1 face of 1 member enrolled", "ann: 1 face enrolled"]
    assert said[2].startswith("guest.jpg: 2 faces compared, threshold ")
    assert said[3].endswith("  ann  selfie.jpg")
    assert json.loads(said[5])["members"] == 2
    assert said[6:] == ["ann: 1 face erased"]
    said = doc_blocks.run(blocks["python"], folder, {"8000": http.rpartition(":")[2]}).splitlines()
    assert said[0].startswith("ann ")
    assert len(members.open(folder / "members")) == 1


def test_add_search_and_remove(real, tmp_path, other_photo):
    db, url = tmp_path / "db", ("--url", real.urls[1])
    faces("build", bulk_output.of_photos(real, tmp_path / "out", {"grace": HOPPER}), "--db", db)
    said, _ = faces("add", PHOTO, other_photo, "--id", "eileen", "--db", db, *url)
    assert said == "eileen: 2 faces enrolled\n"
    for by in ("best", "mean"):
        said, _ = faces("search", PHOTO, "--db", db, "--by", by, *url)
        assert " match " in said.splitlines()[1]
        assert "  eileen  " in said.splitlines()[1]
    with FaceClient(real.urls[1]) as client:
        vector = client.embed(PHOTO).vector
    assert bulk_output.files_with(db, vector.tobytes())
    assert faces("remove", "eileen", "--db", db)[0] == "eileen: 2 faces erased\n"
    assert not bulk_output.files_with(db, vector.tobytes())
    said, _ = faces("search", PHOTO, "--db", db, *url)
    assert "eileen" not in said
    assert " no match " in said


def test_a_photo_that_is_not_good_enough_is_not_enrolled(real, tmp_path, blurred):
    db = tmp_path / "db"
    faces("build", bulk_output.of_photos(real, tmp_path / "out", {"grace": HOPPER}), "--db", db)
    (tmp_path / "blurred.png").write_bytes(blurred)
    more = ("--id", "x", "--db", db, "--url", real.urls[0])
    said, errors = faces("add", tmp_path / "blurred.png", *more, code=1)
    assert said == "x: 0 faces enrolled\n"
    assert "quality" in errors
    said, errors = faces("add", tmp_path / "blurred.png", *more, "--min-quality", 0, code=1)
    assert "not recognizable" in errors
    said, _ = faces("search", tmp_path / "blurred.png", "--db", db, "--url", real.urls[0])
    assert "no decision: the face is not recognizable" in said


def test_another_models_table_is_refused(real, simulated, tmp_path):
    output = bulk_output.of_photos(simulated, tmp_path / "out", {"grace": HOPPER})
    faces("build", output, "--db", tmp_path / "db", "--min-quality", 0)
    _, errors = faces(*("search", PHOTO, "--db", tmp_path / "db", "--url", real.urls[0]), code=1)
    assert "but the table's faces by simulated" in errors
    assert errors.count("\n") == 1
    with FaceClient(real.urls[0]) as client:
        query = client.embed(PHOTO)
    with pytest.raises(MembersError, match="was embedded by"):
        members.open(tmp_path / "db").add("eileen", query, photo="astronaut.jpg")


def test_a_photo_without_a_face(real, tmp_path):
    db = tmp_path / "db"
    faces("build", bulk_output.of_photos(real, tmp_path / "out", {"grace": HOPPER}), "--db", db)
    (tmp_path / "no.txt").write_text("nobody")
    for photo in (tmp_path / "no.txt", tmp_path / "missing.jpg"):
        _, errors = faces("search", photo, "--db", db, "--url", real.urls[0], code=1)
        assert errors.startswith(f"aurum: {photo}: ")
        assert errors.count("\n") == 1
