"""`face_liveness`: the graph drawn from checkpoints gives what the checkpoints define."""

from dataclasses import replace

import checkpoints
import graphs
import numpy as np
import pytest

from aurum import contract
from aurum.models import build, manifest, parity
from aurum.models.families import checkpoint, minifasnet, minifasnet_reference
from aurum.models.families.graph import BuildError
from aurum.models.parity import ParityError
from aurum.models.pull import LicenceError, PullError
from aurum.settings import Settings

NETWORKS = {
    "crops27": checkpoints.random_network(1),
    "crops40": checkpoints.random_network(2, excited=True),
}
CROPS = np.random.default_rng(3).integers(0, 256, (2, 3, 80, 80, 3), np.uint8)


def run(graph, near, wide, outputs=("liveness",)):
    return graphs.session(graph).run(list(outputs), {"crops27": near, "crops40": wide})


def test_liveness_is_the_mean_of_both_networks():
    graph = minifasnet.build(NETWORKS, "some@id")
    liveness, model = run(graph, *CROPS, ("liveness", "model"))
    want = [
        (
            minifasnet_reference.real(NETWORKS["crops27"], near)
            + minifasnet_reference.real(NETWORKS["crops40"], wide)
        )
        / 2
        for near, wide in zip(*CROPS, strict=True)
    ]
    assert np.ptp(want) > 0.001, "the inputs make a difference"
    np.testing.assert_allclose(liveness[:, 0], want, atol=1e-5)
    assert model[:, 0].tolist() == ["some@id"] * 3
    parity.check_liveness(graph, NETWORKS)


def test_networks_in_each_others_place_fail_the_parity_check():
    graph = minifasnet.build(NETWORKS, "some@id")
    swapped = dict(zip(NETWORKS, reversed(NETWORKS.values()), strict=True))
    with pytest.raises(ParityError, match="face_liveness: liveness differs"):
        parity.check_liveness(graph, swapped)


def test_a_checkpoint_of_another_network_is_refused():
    lacking = dict(NETWORKS["crops27"])
    del lacking["conv_6_dw.bn.bias"]
    with pytest.raises(BuildError, match=r"crops27 has no tensor 'conv_6_dw\.bn\.bias'"):
        minifasnet.build({**NETWORKS, "crops27": lacking}, "some@id")


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Settings with an empty cache, which may ask no upstream."""
    monkeypatch.setenv("AURUM_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AURUM_OFFLINE", "1")
    monkeypatch.setenv("AURUM_LIVENESS", "1")
    return Settings.from_env


@pytest.fixture
def weights():
    """Paths of both checkpoints."""
    return [graphs.weights(entry.file) for entry in manifest.load().liveness]


def test_both_files_are_pulled_built_and_cached(weights, settings):
    said = []
    path, identity = build.prepare_liveness(settings(), say=said.append)
    assert identity == "minifasnet@a5eb02e1843f+84ee1d37d968"
    assert said == [
        "building face_liveness from minifasnet_v2 and minifasnet_v1se",
        "checking parity of face_liveness with its checkpoints",
    ]
    assert build.prepare_liveness(settings(), say=said.append) == (path, identity)
    assert len(said) == 2, "it is cached"


def test_nobody_pays_unasked(settings, monkeypatch):
    monkeypatch.setenv("AURUM_PROFILE", "simulated")
    monkeypatch.setenv("AURUM_LIVENESS", "0")
    prepared = build.prepare(settings())
    assert contract.LIVENESS not in prepared.graphs
    assert not list(settings().model_cache.glob("*.pth"))


def test_without_its_files_the_start_fails_and_says_how_to_get_them(settings, monkeypatch):
    monkeypatch.setenv("AURUM_MODEL_MIRROR", "")
    with pytest.raises(PullError, match=r"2\.7_80x80_MiniFASNetV2\.pth is unavailable") as raised:
        build.prepare_liveness(settings())
    assert str(raised.value).endswith("Or unset AURUM_LIVENESS, which needs it.")


def test_a_licence_that_forbids_commercial_use_is_respected(settings, monkeypatch):
    content = manifest.load()
    doubtful = [replace(entry, commercial_use="unclear") for entry in content.liveness]
    monkeypatch.setattr(manifest, "load", lambda: replace(content, liveness=tuple(doubtful)))
    monkeypatch.setenv("AURUM_REQUIRE_COMMERCIAL", "1")
    with pytest.raises(LicenceError, match="does not allow AURUM_LIVENESS=1:\nminifasnet_v2"):
        build.prepare_liveness(settings())


def test_the_published_networks_take_blue_green_and_red_from_0_to_255(weights):
    """As upstream feeds them: pixels divided by 255 would call every face a print."""
    tensors = checkpoint.read(weights[0])
    crop = parity._crops(80)[0]
    assert minifasnet_reference.real(tensors, crop) > 0.5
    assert minifasnet_reference.real(tensors, crop / 255) < 0.1
