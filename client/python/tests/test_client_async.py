"""The asynchronous client over a fake transport."""

from __future__ import annotations

import asyncio

import pytest
from aurum_client import (
    Analysis,
    AsyncFaceClient,
    ClientClosedError,
    ConnectionFailedError,
    EventLoopError,
    InvalidImageError,
    InvalidRequestError,
    LowQualityError,
    ModelMismatchError,
    NoFaceError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
    UnavailableError,
)
from aurum_client._describe import PROBE

URL = "http://nowhere:1"


def client_of(transport, **options) -> AsyncFaceClient:
    return AsyncFaceClient(URL, transport=transport, **options)


async def forever(model=None, image=None):
    await asyncio.Event().wait()


def test_calls_send_their_options_to_their_pipelines(fake):
    transport = fake()

    async def main():
        async with client_of(transport) as client:
            await client.detect(b"a", min_confidence=0.5, max_faces=2, detection_size=320)
            await client.embed(b"b", aligned=True, request_id="r")
            await client.embed(b"c", min_confidence=0.25)
            await client.analyze(b"d")
            await client.detect(b"e", **looks)
            await client.embed(b"f", **looks)
            await client.analyze(b"g", **looks)
            await client.compare(b"h", b"h", **looks)
            await client.analyze_many([b"i"], **looks)
            await client.embed(b"j", **least)
            await client.analyze(b"k", **least, max_faces=2)
            await client.compare(b"l", b"l", **least)
            await client.analyze_many([b"m"], **least)
            with pytest.raises(TypeError, match="min_quality"):
                await client.detect(b"n", **least)

    least = {"min_quality": 0.5}
    looks = {"orientation": "exif", "refine": False, "tiles": 4}
    asyncio.run(main())
    options = {"min_confidence": 0.5, "max_faces": 2, "detection_size": 320}
    assert [call[:3] for call in transport.calls] == [
        ("detect_faces", b"a", options),
        ("embed_face", b"b", {"aligned": True}),
        ("embed_face", b"c", {"min_confidence": 0.25}),
        ("analyze_faces", b"d", {}),
        ("detect_faces", b"e", looks),
        ("embed_face", b"f", looks),
        ("analyze_faces", b"g", looks),
        *[("embed_face", b"h", looks)] * 2,
        ("analyze_faces", b"i", looks),
        ("embed_face", b"j", least),
        ("analyze_faces", b"k", least | {"max_faces": 2}),
        *[("embed_face", b"l", least)] * 2,
        ("analyze_faces", b"m", least),
    ]


def test_an_image_file_is_read(fake, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"jpeg")
    transport = fake()
    asyncio.run(client_of(transport).detect(tmp_path / "photo.jpg"))
    assert transport.calls[0][1] == b"jpeg"
    with pytest.raises(InvalidImageError, match="missing"):
        asyncio.run(client_of(transport).detect(tmp_path / "missing"))


@pytest.mark.parametrize("kind", [ConnectionFailedError, UnavailableError])
def test_transient_errors_are_retried(fake, outputs, no_waiting, kind):
    answers = iter([kind("1"), kind("2"), outputs(1)])
    transport = fake(lambda *_: next(answers))
    assert len(asyncio.run(client_of(transport).detect(b"x"))) == 1
    assert no_waiting == [0, 1]
    # The time left decreases from attempt to attempt.
    assert 10 >= transport.timeouts[0] >= transport.timeouts[1] >= transport.timeouts[2]


def test_retries_end_with_the_last_error(fake, no_waiting):
    transport = fake(lambda *_: UnavailableError(str(len(transport.calls))))
    with pytest.raises(UnavailableError, match="3"):
        asyncio.run(client_of(transport).detect(b"x"))
    transport.calls.clear()
    with pytest.raises(UnavailableError, match="1"):
        asyncio.run(client_of(transport, retries=0).detect(b"x"))


@pytest.mark.parametrize(
    "kind",
    [
        *(InvalidRequestError, InvalidImageError, NoFaceError, LowQualityError),
        *(ServerError, RequestTimeoutError),
    ],
)
def test_permanent_errors_are_not_retried(fake, kind):
    transport = fake(lambda *_: kind("no"))
    with pytest.raises(kind):
        asyncio.run(client_of(transport).detect(b"x"))
    assert len(transport.calls) == 1


def test_an_invalid_response_is_not_retried(fake):
    transport = fake(lambda *_: {})
    with pytest.raises(ProtocolError):
        asyncio.run(client_of(transport).detect(b"x"))
    assert len(transport.calls) == 1


def test_the_timeout_limits_a_call(fake):
    transport = fake(forever)
    with pytest.raises(RequestTimeoutError, match=r"no answer within 0\.01 s"):
        asyncio.run(client_of(transport).detect(b"x", timeout=0.01))
    with pytest.raises(RequestTimeoutError):
        asyncio.run(client_of(transport, timeout=0.01).analyze(b"x"))
    assert len(transport.calls) == 2
    assert transport.running == 0


def test_the_timeout_includes_retries(fake, no_waiting):
    answers = iter([UnavailableError("busy")])
    transport = fake(lambda *_: next(answers, None) or forever())
    with pytest.raises(RequestTimeoutError) as caught:
        asyncio.run(client_of(transport, timeout=0.05).detect(b"x"))
    assert isinstance(caught.value.__cause__, UnavailableError)


def test_no_retry_whose_delay_exceeds_the_timeout(fake, monkeypatch):
    monkeypatch.setattr("aurum_client._retry.backoff", lambda attempt: 60.0)
    transport = fake(lambda *_: UnavailableError("busy"))
    with pytest.raises(UnavailableError, match="busy"):
        asyncio.run(client_of(transport).detect(b"x"))
    assert len(transport.calls) == 1


def test_a_cancellation_by_the_caller_is_not_translated(fake):
    async def main():
        client = client_of(fake(forever))
        task = asyncio.create_task(client.detect(b"x"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_compare_embeds_both_images(fake, outputs):
    transport = fake(lambda model, image: outputs(1, axis=int(image)))
    same = asyncio.run(client_of(transport).compare(b"0", b"0", request_id="r"))
    other = asyncio.run(client_of(transport).compare(b"0", b"1", aligned=True))
    assert (same.similarity, other.similarity) == (1, 0)
    assert [call[3] for call in transport.calls[:2]] == ["r-0", "r-1"]
    assert transport.calls[2][2] == {"aligned": True}


def test_compare_rejects_different_embedders(fake, outputs):
    transport = fake(lambda model, image: outputs(1, embedder=image.decode()))
    with pytest.raises(ModelMismatchError, match="old@1 and new@2"):
        asyncio.run(client_of(transport).compare(b"old@1", b"new@2"))


@pytest.mark.parametrize("kind", [NoFaceError, LowQualityError])
def test_compare_names_the_image_that_failed(fake, kind):
    transport = fake(lambda model, image: kind("no") if image == b"b" else forever())
    with pytest.raises(kind) as caught:
        asyncio.run(client_of(transport).compare(b"a", b"b"))
    assert caught.value.__notes__ == ["in the second image of compare()"]
    assert transport.running == 0, "the call for the other photo is still running"


def test_analyze_many_keeps_the_order_and_the_errors(fake, outputs):
    async def answer(number):
        for _ in range(50 - number):  # the first photos take longest
            await asyncio.sleep(0)
        return outputs(number % 4)

    def respond(model, image):
        return answer(int(image)) if image != b"13" else InvalidImageError("bad")

    transport, seen = fake(respond), []
    images = [str(i).encode() for i in range(50)]
    images[7] = "/no/such/photo.jpg"
    answers = asyncio.run(
        client_of(transport).analyze_many(
            iter(images),
            concurrency=5,
            progress=lambda done, total: seen.append((done, total)),
            request_id="batch",
            max_faces=9,
        )
    )
    for number, result in enumerate(answers):
        if number in (7, 13):
            assert isinstance(result, InvalidImageError)
        else:
            assert isinstance(result, Analysis)
            assert len(result) == number % 4
    assert len(answers) == 50
    assert transport.most_running == 5
    assert seen == [(done, 50) for done in range(1, 51)]
    assert ("analyze_faces", b"49", {"max_faces": 9}, "batch-49") in transport.calls


def test_analyze_many_without_images_and_without_a_server(fake, no_waiting):
    transport = fake(lambda *_: ConnectionFailedError("down"))
    assert asyncio.run(client_of(transport).analyze_many([])) == []
    answers = asyncio.run(client_of(transport).analyze_many([b"a", b"b"]))
    assert [type(answer) for answer in answers] == [ConnectionFailedError] * 2
    with pytest.raises(ValueError, match="concurrency"):
        asyncio.run(client_of(transport).analyze_many([b"a"], concurrency=0))


def test_an_exception_in_the_progress_callback_ends_the_call(fake):
    transport = fake()

    def enough(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        asyncio.run(client_of(transport).analyze_many([b"x"] * 100, progress=enough))
    assert len(transport.calls) <= 8
    assert transport.running == 0


def test_a_healthy_server(fake, outputs):
    transport = fake(lambda *_: outputs(0, embedder="", embeddings=False))
    health = asyncio.run(client_of(transport).health())
    assert health.ok
    assert health.error is None
    assert health.latency >= 0
    assert health.models.detector == "yunet@0123456789ab"
    assert transport.calls == [("detect_faces", PROBE, {}, None)]


def test_a_server_that_is_ready_but_cannot_infer(fake):
    transport = fake(lambda *_: ServerError("stub is dead"))
    health = asyncio.run(client_of(transport).health())
    assert (health.live, health.ready, health.ok, health.latency) == (True, True, False, None)
    assert isinstance(health.error, ServerError)


def test_a_server_that_is_down(fake):
    transport = fake()
    transport.live = ConnectionFailedError("down")
    health = asyncio.run(client_of(transport).health())
    assert (health.live, health.ready, health.ok) == (False, False, False)
    assert isinstance(health.error, ConnectionFailedError)
    assert transport.calls == []


def test_a_server_that_hangs(fake):
    health = asyncio.run(client_of(fake(forever)).health(timeout=0.01))
    assert (health.live, health.ok) == (True, False)
    assert isinstance(health.error, RequestTimeoutError)


def test_the_public_models_and_their_ids(fake):
    transport = fake()
    transport.missing = ("embed_face",)
    models = {model.name: model for model in asyncio.run(client_of(transport).models())}
    assert list(models) == [
        "face_detection",
        "face_embedding",
        "detect_faces",
        "embed_face",
        "analyze_faces",
    ]
    assert models["face_detection"].id == "yunet@0123456789ab"
    assert models["face_embedding"].id == "edgeface@ba9876543210"
    assert models["analyze_faces"].id is None
    assert models["analyze_faces"].ready
    assert models["analyze_faces"].inputs[0].shape == (1,)
    assert not models["embed_face"].ready
    assert models["embed_face"].versions == ()
    assert ("embed_face", PROBE, {"aligned": True}, None) in transport.calls


def test_models_are_described_even_if_inference_fails(fake):
    models = asyncio.run(client_of(fake(lambda *_: ServerError("x"))).models())
    assert [model.id for model in models] == [None] * 5


def test_a_closed_client_raises(fake):
    transport = fake()

    async def main():
        client = client_of(transport)
        async with client:
            pass
        await client.close()
        for call in (
            client.detect(b"x"),
            client.embed(b"x"),
            client.compare(b"x", b"y"),
            client.analyze_many([b"x"]),
            client.health(),
            client.models(),
            client.__aenter__(),
        ):
            with pytest.raises(ClientClosedError):
                await call

    asyncio.run(main())
    assert transport.closed == 1
    assert transport.calls == []


@pytest.mark.parametrize("broken", [ConnectionFailedError("cut"), asyncio.CancelledError()])
def test_closing_ends_pending_calls(fake, broken):
    """HTTP reports a lost connection as an error, gRPC as a cancellation."""

    async def main():
        async def answer():
            await client.close()
            return broken

        client = client_of(fake(lambda *_: answer()))
        with pytest.raises(ClientClosedError):
            await client.detect(b"x")

    asyncio.run(main())


def test_invalid_settings_are_rejected(fake):
    for name, value in (("timeout", 0), ("timeout", float("nan")), ("retries", -1)):
        with pytest.raises(ValueError, match=f"^{name}="):
            client_of(fake(), **{name: value})
    for name, value in (("timeout", "10"), ("retries", True), ("retries", 1.5)):
        with pytest.raises(TypeError, match=f"^{name}="):
            client_of(fake(), **{name: value})
    with pytest.raises(ValueError, match="pass each call its own request_id"):
        AsyncFaceClient(URL, headers={"x-Request-ID": "r"})
    with pytest.raises(ValueError, match="scheme"):
        AsyncFaceClient("ftp://host:1")


@pytest.mark.parametrize("aligned", [1, "false", None])
def test_aligned_must_be_a_boolean(fake, aligned):
    with pytest.raises(TypeError, match=r"^aligned="):
        asyncio.run(client_of(fake()).embed(b"x", aligned=aligned))


@pytest.mark.parametrize(("timeout", "kind"), [(0, ValueError), ("3", TypeError)])
def test_a_calls_timeout_is_checked(fake, timeout, kind):
    with pytest.raises(kind, match=r"^timeout="):
        asyncio.run(client_of(fake()).detect(b"x", timeout=timeout))


def test_a_second_event_loop_is_an_error_that_names_it(fake):
    transport = fake()
    client = client_of(transport)
    assert len(asyncio.run(client.detect(b"x"))) == 1
    for call in (
        *(lambda: client.detect(b"x"), lambda: client.compare(b"x", b"x"), client.health),
        *(client.models, lambda: client.analyze_many([b"x"]), client.__aenter__),
    ):
        with pytest.raises(EventLoopError, match="another event loop: make one client in each"):
            asyncio.run(call())
    assert len(transport.calls) == 1
    asyncio.run(client.close())
    assert transport.closed == 1


def test_a_client_is_not_closed_under_the_loop_that_uses_it(fake):
    transport = fake()

    async def main():
        client = client_of(transport)
        await client.detect(b"x")
        with pytest.raises(EventLoopError):
            await asyncio.to_thread(asyncio.run, client.close())
        assert transport.closed == 0
        await client.close()

    asyncio.run(main())
    assert transport.closed == 1
