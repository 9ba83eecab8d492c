"""Building served graphs: an ArcFace like AuraFace's, and nets that no kernel computes."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from graphs import ENTRIES, answer, session, textured, weights
from small_models import small_embedder

from aurum import kernels
from aurum.models import build, parity
from aurum.models import kernels as kernel_graphs


@pytest.mark.parametrize("listed", [False, True])
def test_a_graph_that_declares_one_photo_embeds_batches(settings, tmp_path, listed):
    """AuraFace's published graph does; here the weights are few and random."""
    path, entry = small_embedder(tmp_path, listed=listed)
    graph, identity = build.build("face_embedding", entry, path, settings, lambda _: None)
    assert identity == entry.id == f"auraface-v1@{entry.sha256[:12]}"
    crops = textured(5, 112, 112)

    given = answer(session(graph), crops=crops)

    planes = ((crops.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    (raw,) = session(path).run(None, {"input.1": np.ascontiguousarray(planes)})
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(given["embedding"], raw / norm, atol=1e-5)
    assert np.allclose(given["norm"], norm, rtol=1e-4)
    assert np.isnan(given["calibration"]).all()


@pytest.mark.skipif(not kernels.find().name, reason="no kernels for this processor")
@pytest.mark.parametrize("tested", [False, True])
def test_a_net_that_no_kernel_computes_is_served_plain_if_it_was_never_tested(
    settings, monkeypatch, tested
):
    """A stranger's download of a larger EdgeFace must not fail at a kernel for smaller ones."""
    entry = replace(ENTRIES["edgeface_xs_q"], tested=tested)
    path = weights(entry.file)
    whole = kernel_graphs.build("face_embedding", entry, onnx.load(path))
    for node in whole.graph.node:
        for item in node.attribute:
            if item.name == "channels":
                item.ints[:] = [17, 17, 17, 17]
    monkeypatch.setattr(kernel_graphs, "build", lambda *_: whole)
    said = []

    if tested:
        with pytest.raises(parity.ParityError, match="no EdgeFace has 17 channels"):
            build.build("face_embedding", entry, path, settings, said.append)
        return
    graph, _ = build.build("face_embedding", entry, path, settings, said.append)
    assert kernels.beside(graph).read_bytes() == graph.read_bytes()
    assert "served without our kernels: " in said[-1]
    assert "no EdgeFace has 17 channels" in said[-1]
