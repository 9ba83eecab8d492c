"""What the command line says of liveness."""

import pytest
from cli_fakes import embedding, records, run


@pytest.mark.parametrize(("score", "live"), [(0.75, True), (0.25, False), (None, None)])
def test_embed_prints_it_as_json(client, folder, score, live):
    client.embeddings["b"] = embedding(0, liveness_score=score)
    (record,) = records(run("embed", folder / "b.jpg", "--json"))
    assert (record["face"]["liveness_score"], record["face"]["is_live"]) == (score, live)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty cache and no source of models; the simulated profile needs none."""
    monkeypatch.setenv("AURUM_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("AURUM_MODEL_MIRROR", "")
    monkeypatch.setenv("AURUM_OFFLINE", "1")
    monkeypatch.setenv("AURUM_PROFILE", "simulated")


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_its_files_are_pulled_and_checked_where_it_is_served(nowhere, monkeypatch, wanted):
    monkeypatch.setenv("AURUM_LIVENESS", wanted)
    pulled = run("models", "pull")
    assert pulled.exit_code == int(wanted)
    checked = run("doctor").output
    for name in ("minifasnet_v2", "minifasnet_v1se"):
        assert (f"{name}: " in pulled.output) == (wanted == "1")
        assert (f"model {name}" in checked) == (wanted == "1")
