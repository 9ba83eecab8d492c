"""The synchronous client: the same calls from any thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from aurum_client import AsyncFaceClient, ClientClosedError, FaceClient, NoFaceError

URL = "http://nowhere:1"
CALLS = ("detect", "embed", "analyze", "analyze_many", "compare", "health", "models")


@pytest.mark.parametrize("name", CALLS)
def test_both_clients_have_the_same_calls(name):
    sync, aio = getattr(FaceClient, name), getattr(AsyncFaceClient, name)
    assert inspect.signature(sync) == inspect.signature(aio)
    assert sync.__doc__ == aio.__doc__
    assert not inspect.iscoroutinefunction(sync)


def test_both_constructors_have_the_same_signature():
    assert inspect.signature(FaceClient) == inspect.signature(AsyncFaceClient)


def test_all_calls_work_without_an_event_loop(fake):
    transport = fake()
    with FaceClient(URL, transport=transport) as client:
        assert len(client.detect(b"x")) == 1
        assert client.embed(b"x").vector.shape == (512,)
        assert client.analyze(b"x")[0].embedding is not None
        assert client.compare(b"x", b"y").similarity == 1
        assert len(client.analyze_many([b"x", b"y"])) == 2
        assert client.health().ok
        assert len(client.models()) == 5
    assert transport.closed == 1
    assert len(transport.loops) == 1


def test_errors_are_passed_on(fake):
    with (
        FaceClient(URL, transport=fake(lambda *_: NoFaceError("nobody"))) as client,
        pytest.raises(NoFaceError, match="nobody"),
    ):
        client.embed(b"x")


def test_it_works_inside_a_running_event_loop(fake):
    async def main():
        with FaceClient(URL, transport=fake()) as client:
            return len(client.detect(b"x"))

    assert asyncio.run(main()) == 1


def test_threads_share_a_client(fake, outputs):
    transport = fake(lambda model, image: outputs(int(image)))
    with FaceClient(URL, transport=transport) as client, ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: len(client.detect(str(number % 5).encode())), range(200))
        assert list(found) == [number % 5 for number in range(200)]
    assert len(transport.loops) == 1


def test_calls_from_several_threads_run_concurrently(fake, outputs):
    arrived = 0

    async def answer():
        nonlocal arrived
        arrived += 1
        while arrived < 4:  # no call returns before all four have started
            await asyncio.sleep(0)
        return outputs(1)

    with (
        FaceClient(URL, transport=fake(lambda *_: answer())) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        assert [len(faces) for faces in pool.map(client.detect, [b"x"] * 4)] == [1] * 4


def test_a_closed_client_raises(fake):
    client = FaceClient(URL, transport=fake())
    client.close()
    client.close()
    with pytest.raises(ClientClosedError):
        client.detect(b"x")
    with pytest.raises(ClientClosedError), client:
        pass


def test_closing_ends_calls_in_other_threads(fake):
    started = threading.Event()

    async def hang():
        started.set()
        await asyncio.Event().wait()

    client = FaceClient(URL, transport=fake(lambda *_: hang()))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.detect, b"x")
        started.wait()
        client.close()
        with pytest.raises(ClientClosedError, match="during the call"):
            call.result()


def test_closing_stops_the_thread(fake):
    def ours():
        return [thread for thread in threading.enumerate() if "aurum-client" in thread.name]

    before = ours()
    client = FaceClient(URL, transport=fake())
    client.detect(b"x")
    assert len(ours()) == len(before) + 1
    client.close()
    assert ours() == before


def test_a_callback_cannot_wait_for_its_own_client(fake):
    with FaceClient(URL, transport=fake()) as client:

        def progress(done, total):
            client.detect(b"x")

        with pytest.raises(RuntimeError, match="cannot wait"):
            client.analyze_many([b"x"], progress=progress)


def test_an_interrupted_wait_cancels_its_call(fake, monkeypatch):
    class Interrupted:
        cancelled = False

        def result(self):
            raise KeyboardInterrupt

        def cancel(self):
            self.cancelled = True

    future = Interrupted()

    def hand_over(coroutine, loop):
        coroutine.close()
        return future

    with FaceClient(URL, transport=fake()) as client:
        with monkeypatch.context() as patch:
            patch.setattr("aurum_client._loop.asyncio.run_coroutine_threadsafe", hand_over)
            with pytest.raises(KeyboardInterrupt):
                client.detect(b"x")
        assert future.cancelled
