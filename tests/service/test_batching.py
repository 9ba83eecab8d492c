"""Photos of several clients are computed in one batch without changing anybody's answer."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from aurum_client import FaceClient

from aurum.server.ephemeral import running
from aurum.settings import Settings


def batches(service, model):
    """How many batches of each size Triton has executed so far."""
    url = f"{service.settings.http_url}/v2/models/{model}/stats"
    with urllib.request.urlopen(url) as answer:
        (stats,) = json.load(answer)["model_stats"]
    return {
        item["batch_size"]: item["compute_infer"]["count"] for item in stats.get("batch_stats", [])
    }


@pytest.fixture
def many_threads(tmp_path):
    """A server whose step processes many photos at once, so that the models' queues fill."""
    with running(replace(Settings.from_env(), pipeline_threads=8), tmp_path) as service:
        yield service


def test_sixteen_clients_share_batches_of_both_models_and_get_their_own_answers(
    many_threads, astronaut
):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    shifted = [np.roll(photo, 3 * step, axis=1) for step in range(16)]
    photos = [cv2.imencode(".png", image)[1].tobytes() for image in shifted]
    with FaceClient(many_threads.urls[1], timeout=120) as client:
        alone = [client.analyze(image) for image in photos]
        before = {
            name: batches(many_threads, name) for name in ("face_detection", "face_embedding")
        }
        with ThreadPoolExecutor(16) as pool:
            together = list(pool.map(client.analyze, photos * 6))
    for name, earlier in before.items():
        after = batches(many_threads, name)
        assert any(after[size] > earlier.get(size, 0) for size in after if size > 1), (name, after)
    for one, other in zip(alone * 6, together, strict=True):
        np.testing.assert_allclose(other.boxes, one.boxes, atol=1e-2)
        np.testing.assert_allclose(other.scores, one.scores, atol=1e-4)
        # Batches of other sizes round differently, by some 1e-4.
        np.testing.assert_allclose(other.embeddings, one.embeddings, atol=1e-3)
