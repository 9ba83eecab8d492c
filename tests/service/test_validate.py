"""`aurum validate` against a real service: every subcommand runs, and a rerun sends no request."""

import csv
import shutil
import sqlite3

import cv2
import pytest
from aurum_client import FaceClient
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.evaluation import gate, kinds
from aurum.evaluation.ask import FILE
from aurum.evaluation.conditions import CONDITIONS, UNTOUCHED
from aurum.evaluation.parity import CLIENTS
from aurum.models import calibrations
from aurum.paths import PHOTO
from aurum.server.ephemeral import running
from aurum.settings import Settings


def run(*arguments):
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def kept(folder):
    with sqlite3.connect(folder / FILE) as base:
        return base.execute("SELECT COUNT(*) FROM answers").fetchone()[0]


@pytest.mark.parametrize("protocol", [0, 1])
def test_verification(real, people, protocol):
    arguments = (
        *("verification", people / "faces", "--pairs", people / "pairs.txt"),
        *("--out", people / "out", "--url", real.urls[protocol]),
    )
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    assert "| accuracy, mean ± standard error | 100.00% |" in first.output
    assert "| photos, without a face, refused | 4, 0, 0 |" in first.output
    assert {"verification.md", "roc.png", "worst_pairs.png", "pairs.csv", "embeddings.npz"} <= {
        path.name for path in (people / "out").iterdir()
    }
    assert kept(people / "out") == 4
    assert run(*arguments).output == first.output


def test_calibrate(real, people):
    shown = run("calibrate", people / "faces", "--out", people / "out", "--url", real.urls[0])
    assert shown.exit_code == 0, shown.output
    assert "[models.calibration]" in (people / "out" / "calibration.toml").read_text()
    assert "impostor_pairs = 4\ngenuine_pairs = 2\n" in shown.output
    assert (people / "out" / "calibration.png").is_file()


def test_a_users_own_calibration_is_served_from_the_next_start_on(
    real, photos, tmp_path, astronaut, monkeypatch
):
    """Each face of the group photos is a person, with four photos of different quality."""
    with FaceClient(real.urls[0], timeout=60) as client:
        heads = [head for path in sorted(photos.iterdir()) for head in cut_out(client, path)]
    if len(heads) < 110:
        pytest.skip("too few faces in the group photos")
    for number, head in enumerate(heads):
        (tmp_path / "staff" / str(number)).mkdir(parents=True)
        for quality in (95, 85, 75, 65):
            path = tmp_path / "staff" / str(number) / f"{quality}.jpeg"
            cv2.imwrite(str(path), head, [cv2.IMWRITE_JPEG_QUALITY, quality])
    monkeypatch.setenv("AURUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURUM_MODEL_CACHE", str(Settings().model_cache))

    shown = CliRunner().invoke(
        app, ["models", "calibrate", str(tmp_path / "staff"), "--url", real.urls[0]]
    )

    assert shown.exit_code == 0, shown.output
    settings = Settings.from_env()
    known = calibrations.own(real.prepared.ids["face_embedding"], settings)
    assert f"kept in {calibrations.own_file(real.prepared.ids['face_embedding'], settings)}" in (
        shown.output
    )
    assert known.dataset.startswith("staff: ")
    assert known.impostor_pairs >= 100_000
    with (
        running(settings, tmp_path / "served") as service,
        FaceClient(service.urls[1], timeout=60) as client,
    ):
        found = client.embed(astronaut).calibration
        assert list(found.thresholds.values()) == pytest.approx(known.thresholds)
        assert client.compare(astronaut, astronaut).threshold == pytest.approx(known.thresholds[2])


def cut_out(client, path):
    """The heads in a photo, each with the margin of an ordinary portrait."""
    photo = cv2.imread(str(path))
    for box in client.detect(path, detection_size=1280).boxes:
        x, y, width, height = box.round().astype(int).tolist()
        top, left = max(0, y - height // 2), max(0, x - width // 2)
        yield photo[top : y + height * 3 // 2, left : x + width * 3 // 2]


def test_too_few_people_are_refused_before_anything_is_started(people):
    shown = CliRunner().invoke(app, ["models", "calibrate", str(people / "faces")])
    assert shown.exit_code == 1
    assert "too few photos to calibrate on: 4 of 2 people" in shown.stderr


def test_groups(real, people):
    names = sorted(path.name for path in (people / "faces").iterdir())
    (people / "groups.txt").write_text("".join(f"{name}\tall\n" for name in names))
    shown = run(
        *("groups", people / "faces", "--groups", people / "groups.txt"),
        *("--out", people / "out", "--url", real.urls[0]),
    )
    assert shown.exit_code == 0, shown.output
    rows = [line for line in shown.output.splitlines() if line.startswith(("| all", "| every"))]
    assert [row.split(" | ")[1:4] for row in rows] == [["2", "4", "4"]] * 2
    assert "100.00%" in rows[0]


def test_conditions(real, people):
    (people / "groups.txt").write_text("Ann\tall\nBob\tall\n")
    shown = run(
        *("conditions", people / "faces", "--pairs", people / "pairs.txt"),
        *("--groups", people / "groups.txt", "--out", people / "out", "--url", real.urls[0]),
    )
    assert shown.exit_code == 0, shown.output
    with (people / "out" / "conditions.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(CONDITIONS) + 3
    for name in (UNTOUCHED, "gray", "small: 24 pixels between the eyes"):
        row = rows[name]
        assert row["found"] == row["photos"] == "2"
        assert row["matched_0.0001"] == row["genuine"] == "2", name
    assert rows["small: 8 pixels between the eyes"]["passing"] == "0"
    assert "\n## False matches within groups\n" in shown.output
    assert "| all | 2 | 4 | 4 |" in shown.output


def test_gate(real, people, monkeypatch):
    blurred = {name: kinds.KINDS["blurred"][name] for name in ("sigma 2 px", "sigma 8 px")}
    monkeypatch.setattr(kinds, "KINDS", {"blurred": blurred})
    monkeypatch.setattr(kinds, "CROPS", 2)
    monkeypatch.setattr(gate, "halves", lambda names: ([], names))
    shown = run(
        *("gate", people / "faces", "--pairs", people / "pairs.txt"),
        *("--out", people / "out", "--url", real.urls[0]),
    )
    assert shown.exit_code == 0, shown.output
    assert "0.00% of 4 photos don't pass" in shown.output
    assert "| 0.001 | 100.00% | 100.00% | 0.00% | 0.00% |" in shown.output
    rows = {line.split(" | ")[0]: line for line in shown.output.splitlines() if "blurred" in line}
    assert len(rows) == 3
    assert "| 0 (0.0%) |" in rows["| blurred, sigma 8 px"]


def test_variants_and_detection(real, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTO, folder / "a.jpg")
    url = ("--url", real.urls[0])
    shown = run(
        *("variants", folder, "--out", tmp_path / "out", *url),
        *("--only", "close-up 95%", "--only", "EXIF"),
    )
    assert shown.exit_code == 0, shown.output
    with (tmp_path / "out" / "variants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + 4 + 8
    assert all(row["faces"] == row["found"] == "1" and row["extra"] == "0" for row in rows)
    (tmp_path / "faces.csv").write_text(
        "file,x,y,width,height\na.jpg,178,63,90,113\na.jpg,10,400,50,50\n"
    )
    shown = run(
        "detection", folder, "--annotations", tmp_path / "faces.csv", "--out", tmp_path, *url
    )
    assert shown.exit_code == 0, shown.output
    assert "| all faces | 2 | 50.0%" in shown.output
    assert "| 32 to 64 px high | 1 | 0.0%" in shown.output
    assert "| 64 to 128 px high | 1 | 100.0%" in shown.output


def test_parity(real, tmp_path):
    urls = [word for url in real.urls for word in ("--url", url)]
    shown = run("parity", PHOTO, "--out", tmp_path, *urls, "--batch", 1, "--batch", 3)
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("| onnxruntime |") == 2 * 2 * len(CLIENTS)
    assert shown.output.count("| yes |") == shown.output.count("http, ") + shown.output.count(
        "grpc, "
    )


def test_simulated_answers_are_not_evaluated(simulated, people):
    shown = run(
        *("verification", people / "faces", "--pairs", people / "pairs.txt"),
        *("--out", people / "out", "--url", simulated.urls[0]),
    )
    assert shown.exit_code == 1
    assert "makes up its answers" in shown.stderr


def test_an_unreachable_service_is_reported(people):
    shown = run(
        *("calibrate", people / "faces", "--out", people / "out", "--url", "http://127.0.0.1:9")
    )
    assert shown.exit_code in (1, 3)
    assert "127.0.0.1:9" in shown.stderr
