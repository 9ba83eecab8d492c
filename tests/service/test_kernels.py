"""A server with our kernels answers like one without them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import images
import numpy as np
import onnx
import pytest
from aurum_client import FaceClient

from aurum import kernels
from aurum.models import build
from aurum.models.parity import INTEGERS
from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server, ServerError
from aurum.settings import Settings

HERE = kernels.find()
pytestmark = pytest.mark.skipif(not HERE.name, reason=HERE.reason)


def real(settings: Settings) -> Settings:
    if build.prepare(settings).simulated:
        pytest.skip("the real models are not available")
    return settings


def test_the_answers_equal_those_of_the_plain_graphs(tmp_path):
    answers = []
    for value in ("auto", "off"):
        settings = real(replace(Settings.from_env(), kernels=value))
        settings, _ = prepare_repositories(settings, tmp_path / value)
        with ExitStack() as stack:
            server = stack.enter_context(Server(settings))
            server.wait_ready()
            assert (server.kernels.name == "") == (value == "off")
            client = stack.enter_context(FaceClient(settings.http_url))
            answers.append((client.analyze(images.astronaut()), client.embed(images.astronaut())))
    (fast, fast_face), (plain, plain_face) = answers
    assert fast.models == plain.models
    bound = INTEGERS.pixels + INTEGERS.share * plain.boxes[:, 2:].max()
    np.testing.assert_allclose(fast.boxes, plain.boxes, atol=bound)
    np.testing.assert_allclose(fast.scores, plain.scores, atol=INTEGERS.score)
    assert float(fast_face.vector @ plain_face.vector) > 0.9999


def test_a_graph_for_another_library_version_fails_the_start_with_the_reason(tmp_path):
    settings, _ = prepare_repositories(real(Settings.from_env()), tmp_path)
    path = settings.repositories / "model_repository" / "face_detection" / "1" / "model.onnx"
    model = onnx.load(str(kernels.beside(path)))
    node = next(node for node in model.graph.node if node.domain == "aurum")
    next(item for item in node.attribute if item.name == "format").i = 99
    onnx.save(model, str(kernels.beside(path)))
    reason = r"face_detection.*aurum\.YuNet: the graph has format 99.*build the graphs again"
    with pytest.raises(ServerError, match=reason), Server(settings) as server:
        server.wait_ready()
