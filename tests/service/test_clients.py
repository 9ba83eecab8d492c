"""HTTP and gRPC, sync and async clients give the same answers, also for many photos at once."""

import asyncio
import base64
import random
import re

import cv2
import images
import numpy as np
import pytest
from aurum_client import (
    AsyncFaceClient,
    AurumError,
    EventLoopError,
    FaceClient,
    InvalidImageError,
    LowQualityError,
    QualityParts,
)
from PIL import Image
from test_contract import FLAT


def assert_same(one, other, tolerance=0.0):
    assert one.image_size == other.image_size
    assert one.models == other.models
    for name in ("boxes", "landmarks", "scores", "embeddings"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=tolerance)


async def ask_async(url, photo):
    async with AsyncFaceClient(url) as client:
        return await client.detect(photo), await client.embed(photo), await client.analyze(photo)


def ask(url, photo):
    with FaceClient(url) as client:
        return client.detect(photo), client.embed(photo), client.analyze(photo)


def test_all_four_clients_return_the_same(service, astronaut):
    http, grpc = service.urls
    reference = ask(http, astronaut)
    for other in (
        ask(grpc, astronaut),
        asyncio.run(ask_async(http, astronaut)),
        asyncio.run(ask_async(grpc, astronaut)),
    ):
        np.testing.assert_array_equal(reference[0].boxes, other[0].boxes)
        np.testing.assert_array_equal(reference[1].vector, other[1].vector)
        assert_same(reference[2], other[2])
        np.testing.assert_array_equal(reference[2].gate, other[2].gate)
        assert reference[1].quality == other[1].quality


@pytest.mark.parametrize("transport", [0, 1])
def test_all_forms_of_an_image_are_the_same_photo(simulated, astronaut, tmp_path, transport):
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    encoded = cv2.imencode(".png", photo)[1]
    png, text = encoded.tobytes(), base64.b64encode(encoded).decode()
    path = tmp_path / "photo.png"
    path.write_bytes(png)
    forms = (path, str(path), encoded, photo[..., ::-1], Image.open(path), text)
    with FaceClient(simulated.urls[transport]) as client, path.open("rb") as file:
        expected = client.analyze(png)
        for form in (*forms, f"data:image/png;base64,{text}", file, bytearray(png), text.encode()):
            assert_same(client.analyze(form), expected)
        with pytest.raises(InvalidImageError, match=r"^http addresses are not fetched"):
            client.analyze("http://localhost/photo.png")


@pytest.mark.parametrize("transport", [0, 1])
def test_an_asynchronous_client_is_refused_in_a_second_event_loop(simulated, astronaut, transport):
    client = AsyncFaceClient(simulated.urls[transport], timeout=60)
    assert len(asyncio.run(client.detect(astronaut))) == 1
    with pytest.raises(EventLoopError, match="make one client in each event loop"):
        asyncio.run(client.detect(astronaut))
    asyncio.run(client.close())


def test_compare(client, astronaut):
    same = client.compare(astronaut, astronaut)
    assert same.similarity == pytest.approx(1, abs=1e-5)


def test_an_embedding_has_the_same_quality_as_in_an_analysis(client, astronaut):
    face, embedding = client.analyze(astronaut)[0], client.embed(astronaut)
    assert embedding.quality == pytest.approx(face.quality, abs=1e-3)
    assert embedding.quality_parts == pytest.approx(face.quality_parts, abs=1e-2)
    assert (embedding.recognizable, embedding.defect) == (face.recognizable, face.defect)


@pytest.mark.parametrize("transport", [0, 1])
def test_an_unrecognizable_face_matches_nobody(real, astronaut, blurred, transport):
    with FaceClient(real.urls[transport], timeout=60) as client:
        assert client.embed(astronaut).recognizable is True
        assert client.analyze(blurred).quality_calibrated is True
        same, spoilt = client.compare(astronaut, astronaut), client.compare(astronaut, blurred)
    assert (same.decision, same.far, same.gated, same.reason) == ("match", 1e-4, True, None)
    assert spoilt.similarity > spoilt.threshold
    assert (spoilt.decision, spoilt.match, spoilt.gated) == ("not recognizable", None, True)
    assert spoilt.b.defect in QualityParts._fields
    assert spoilt.reason.startswith(f"second photo: {spoilt.b.defect} ")


@pytest.mark.parametrize("transport", [0, 1])
def test_quality_only_orders_faces_for_another_embedder(simulated, astronaut, transport):
    with FaceClient(simulated.urls[transport], timeout=60) as client:
        analysis, found = client.analyze(astronaut), client.compare(astronaut, astronaut)
    assert len(analysis) > 0
    assert analysis.quality_calibrated is False
    assert {face.recognizable for face in analysis} == {None}
    assert (found.decision, found.gated) == ("uncalibrated", False)
    assert found.a.quality is not None


def test_min_quality_refuses_faces_below_it(client, astronaut):
    quality = client.embed(astronaut).quality
    assert 0 < quality < 1
    assert client.embed(astronaut, min_quality=quality / 2).quality == pytest.approx(
        quality, abs=1e-3
    )
    kept = [face.quality for face in client.analyze(astronaut)]
    least = np.mean(kept)
    passed = [quality for quality in kept if quality >= least]
    answer = client.analyze(astronaut, min_quality=least)
    assert [face.quality for face in answer] == pytest.approx(passed, abs=1e-3)
    assert len(client.analyze(astronaut, min_quality=1)) == 0
    with pytest.raises(LowQualityError, match=f"{quality:.2f}.* min_quality=1") as caught:
        client.compare(astronaut, astronaut, min_quality=1)
    assert caught.value.code == "low_quality"


@pytest.mark.parametrize("transport", [0, 1])
def test_a_hundred_mixed_requests_a_quarter_of_them_bad(best, astronaut, transport, photo_folder):
    """Every good photo gets the answer that it gets alone, every bad one its own error."""
    group = [path.read_bytes() for path in sorted(photo_folder.glob("*.jpg"))[:2]]
    good = [astronaut, FLAT, *group, images.good()["png"][0], images.good()["webp"][0]]
    bad = list(images.bad(10_000_000, 50_000_000).values())
    jobs = [(good[index % len(good)], None) for index in range(75)]
    jobs += [bad[index % len(bad)] for index in range(25)]
    random.Random(0).shuffle(jobs)
    with FaceClient(best.urls[transport], timeout=120) as client:
        alone = {data: client.analyze(data) for data in good}
        answers = client.analyze_many([data for data, _ in jobs], concurrency=100)
    assert len(answers) == 100
    for (data, message), answer in zip(jobs, answers, strict=True):
        if message is None:
            assert not isinstance(answer, AurumError), answer
            assert_same(answer, alone[data], tolerance=1e-2)
            np.testing.assert_allclose(answer.embeddings, alone[data].embeddings, atol=1e-3)
        else:
            assert isinstance(answer, InvalidImageError)
            assert re.search(message, str(answer))
