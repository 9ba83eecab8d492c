from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aurum_client import ConnectionFailedError, LowQualityError, ModelIds, NoFaceError
from cli_fakes import IDS, embedding, records, run


def test_embed_prints_text(client, folder):
    result = run("embed", folder / "b.jpg", "--aligned")

    numbers = "[+1.0000 +0.0000 +0.0000 +0.0000 ...]"
    line = f"{folder / 'b.jpg'}: {numbers} norm 1.0000  quality 0.75  {IDS.embedder}\n"
    assert result.stdout == line
    options = {"aligned": True, "min_quality": None, "orientation": None, "refine": None}
    assert client.asked == [(folder / "b.jpg", options)]


def test_embed_json(client, folder):
    (record,) = records(run("embed", folder / "b.jpg", "--json"))

    assert record["embedding"] == embedding(0).vector.tolist()
    assert record["face"]["bbox"]["height"] == 45.5
    assert record["face"]["rotation"] == 0
    assert record["complete"] is True
    assert record["models"]["embedder"] == IDS.embedder
    judged = {name: record["face"][name] for name in ("quality", "recognizable", "defect")}
    assert judged == {"quality": 0.75, "recognizable": True, "defect": None}
    assert record["face"]["quality_parts"]["sharpness"] == 0.25
    assert record["face"]["quality_calibrated"] is True


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (
            {"quality": 0.125, "recognizable": False, "defect": "noise"},
            "  quality 0.12, not recognizable: noise  ",
        ),
        ({"recognizable": None}, "  quality 0.75 (only an order)  "),
        ({"quality": None, "quality_parts": None, "recognizable": None}, "  "),
    ],
    ids=["bad", "another embedder", "a server of 0.1.0"],
)
def test_embed_prints_the_known_quality(client, folder, judged, words):
    client.embeddings["b"] = embedding(0, **judged)
    result = run("embed", folder / "b.jpg")
    assert f"norm 1.0000{words}{IDS.embedder}\n" in result.stdout
    assert result.exit_code == 0
    (record,) = records(run("embed", folder / "b.jpg", "--json"))
    assert record["face"]["quality"] == judged.get("quality", 0.75)
    assert record["face"]["recognizable"] is judged["recognizable"]
    assert record["face"]["defect"] == judged.get("defect")
    assert record["face"]["quality_calibrated"] is (judged["recognizable"] is not None)


@pytest.mark.parametrize("command", ["embed", "compare"])
def test_a_face_of_too_low_quality_is_a_failed_photo(client, folder, command):
    client.errors["b"] = LowQualityError("the face's quality is 0.12", code="low_quality")

    result = run(command, folder / "a.PNG", folder / "b.jpg", "--min-quality", "0.5", "--json")

    assert result.exit_code == 1
    assert [options["min_quality"] for _, options in client.asked] == [0.5, 0.5]
    assert records(result)[-1]["error"] == {
        "code": "low_quality",
        "type": "LowQualityError",
        "message": "the face's quality is 0.12",
    }
    assert run(command, folder / "a.PNG", folder / "b.jpg", "--min-quality", 2).exit_code == 2


@pytest.mark.parametrize("command", ["embed", "compare"])
def test_the_options_for_looking_are_passed_on(client, folder, command):
    run(command, folder / "a.PNG", folder / "b.jpg", "--orientation", "exif", "--no-refine")

    assert len(client.asked) == 2
    for _, options in client.asked:
        assert (options["orientation"], options["refine"]) == ("exif", False)


def test_embed_and_compare_report_rotation(client, folder):
    flat = embedding(0)
    client.embeddings["a"] = replace(flat, face=replace(flat.face, rotation=270), complete=False)

    (kept,) = records(run("embed", folder / "a.PNG", "--json"))
    (pair,) = records(run("compare", folder / "a.PNG", folder / "b.jpg", "--json"))
    text = run("compare", folder / "a.PNG", folder / "b.jpg").stdout

    assert (kept["face"]["rotation"], kept["complete"]) == (270, False)
    assert (pair["a"]["face"]["rotation"], pair["a"]["complete"]) == (270, False)
    assert (pair["b"]["face"]["rotation"], pair["b"]["complete"]) == (0, True)
    assert text.count("turned 270") == text.count("turned") == 1


def test_embed_saves_the_embeddings(client, folder, tmp_path):
    client.embeddings = {"a": embedding(3), "c": embedding(5)}
    client.errors["b"] = NoFaceError("no face", code="no_face")
    out = tmp_path / "faces"  # kept as it is, without .npz

    result = run("embed", folder, "--out", out)

    assert result.exit_code == 1
    assert f"{folder / 'b.jpg'}: no face" in result.stderr
    with np.load(out) as kept:
        assert kept["paths"].tolist() == [str(folder / "a.PNG"), str(folder / "sub" / "c.webp")]
        assert kept["embeddings"].dtype == np.float32
        assert kept["embeddings"].argmax(axis=1).tolist() == [3, 5]
        assert str(kept["model"]) == IDS.embedder


def test_embed_saves_what_it_has_when_the_service_goes_away(client, folder, tmp_path):
    client.errors["c"] = ConnectionFailedError("gone")
    out = tmp_path / "faces.npz"

    assert run("embed", folder, "--out", out).exit_code == 3
    with np.load(out) as kept:
        assert len(kept["paths"]) == 2


def test_embed_never_mixes_models_in_one_file(client, folder, tmp_path):
    client.embeddings["b"] = embedding(1, ModelIds(IDS.detector, "other@cccccccccccc"))
    out = tmp_path / "faces.npz"

    result = run("embed", folder, "--out", out, "--json")

    assert result.exit_code == 1
    assert records(result)[1]["error"]["type"] == "ModelMismatchError"
    with np.load(out) as kept:
        assert [Path(path).name for path in kept["paths"]] == ["a.PNG", "c.webp"]


def test_embed_into_a_missing_folder_is_a_usage_error(client, folder, tmp_path):
    assert run("embed", folder, "--out", tmp_path / "no" / "faces.npz").exit_code == 2
    assert client.asked == []


def test_compare_prints_the_similarity_and_the_decision(client, folder):
    half = embedding(0)
    half.vector[:2] = 0.8, 0.6
    client.embeddings = {"a": embedding(0), "b": half}

    (record,) = records(run("compare", folder / "a.PNG", folder / "b.jpg", "--json"))
    text = run("compare", folder / "a.PNG", folder / "b.jpg").stdout

    assert record["similarity"] == pytest.approx(0.8)
    assert record["a"]["path"] == str(folder / "a.PNG")
    assert record["b"]["face"]["bbox"]["x"] == 20.0
    assert record["models"] == {"detector": IDS.detector, "embedder": IDS.embedder}
    assert (record["far"], record["threshold"], record["match"]) == (1e-4, 0.75, True)
    assert (record["decision"], record["reason"], record["gated"]) == ("match", None, True)
    assert record["b"]["face"]["quality"] == 0.75
    assert record["probability"] == pytest.approx(0.9975, abs=1e-4)
    decision = "one person's at FAR 0.0001 (threshold 0.7500), probability 99.75%"
    assert text.splitlines()[0] == f"similarity 0.8000: {decision}"
    assert text.count("score 0.90  at 20,30  size 40x46  quality 0.75") == 2
    assert IDS.embedder in text


def test_compare_at_another_far_and_prior(client, folder):
    photos = folder / "a.PNG", folder / "b.jpg"
    (record,) = records(run("compare", *photos, "--json", "--far", "1e-3", "--prior", "0.01"))
    assert (record["far"], record["threshold"], record["match"]) == (1e-3, 0.5, True)

    result = run("compare", *photos, "--far", "0.1")

    assert result.exit_code == 2
    assert "--far=0.1: must be one of 0.01, 0.001, 0.0001" in result.stderr


def test_compare_decides_nothing_if_a_face_is_not_recognizable(client, folder):
    client.embeddings["b"] = embedding(0, recognizable=False, defect="sharpness")
    photos = folder / "a.PNG", folder / "b.jpg"

    result = run("compare", *photos)

    assert result.exit_code == 4
    why = "no decision, as a face is not recognizable (second photo: sharpness 0.25)"
    assert result.stdout.splitlines()[0] == f"similarity 1.0000: {why}"
    assert "quality 0.75, not recognizable: sharpness" in result.stdout
    result = run("compare", *photos, "--json")
    assert result.exit_code == 4
    (record,) = records(result)
    assert (record["decision"], record["match"]) == ("not recognizable", None)
    assert (record["reason"], record["probability"]) == ("second photo: sharpness 0.25", None)
    assert (record["b"]["face"]["recognizable"], record["gated"]) == (False, True)


def test_compare_exit_codes(client, folder):
    photos = folder / "a.PNG", folder / "b.jpg"
    assert run("compare", *photos).exit_code == 0
    client.embeddings["b"] = embedding(1)
    (record,) = records(result := run("compare", *photos, "--json"))
    assert (record["decision"], result.exit_code) == ("no match", 0)
    text = " ".join(run("compare", "--help").stdout.split())
    assert "Exit codes: 0 the photos were compared, whatever the result; 1" in text
    assert "4 a face is not recognizable, so there is no decision." in text


def test_compare_without_a_calibration(client, folder):
    client.embeddings = {"a": replace(embedding(0), calibration=None)}
    text = run("compare", folder / "a.PNG", folder / "b.jpg").stdout
    assert text.startswith("similarity 1.0000: uncalibrated, so no decision (see")


def test_compare_names_the_photo_that_failed(client, folder):
    client.errors["b"] = NoFaceError("no face", code="no_face")

    result = run("compare", folder / "a.PNG", folder / "b.jpg", "--json")

    assert result.exit_code == 1
    (record,) = records(result)
    assert record["path"] == str(folder / "b.jpg")
    assert record["error"]["code"] == "no_face"


def test_compare_refuses_embeddings_of_different_models(client, folder):
    client.embeddings["b"] = embedding(0, ModelIds(IDS.detector, "other@cccccccccccc"))

    result = run("compare", folder / "a.PNG", folder / "b.jpg")

    assert result.exit_code == 1
    assert "other@cccccccccccc" in result.stderr
