"""The bounded queues that newer releases of Triton get, tried on the embedded one."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
from aurum_client import UnavailableError
from aurum_client.aio import AsyncFaceClient

from aurum.contract import MAX_QUEUED
from aurum.server import triton_version
from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server
from aurum.settings import Settings


async def flood(server: Server, photo: bytes, count: int) -> list[object]:
    """Each outcome of as many requests, sent while the step's processes are stopped.

    Running, they would take photos out of the queue as fast as they come. They go on as soon as a
    request is refused.
    """
    steps = [
        process
        for process in psutil.Process(server.pid).children()
        if "/each_face/" in " ".join(process.cmdline())
    ]
    async with AsyncFaceClient(server.settings.grpc_url, timeout=120, retries=0) as client:
        for step in steps:
            step.suspend()
        try:
            asked = [asyncio.create_task(client.analyze(photo)) for _ in range(count)]
            await asyncio.wait(asked, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for step in steps:
                step.resume()
        return await asyncio.gather(*asked, return_exceptions=True)


def test_a_full_queue_refuses_at_once_and_everything_else_is_answered(astronaut):
    bound = triton_version.additions(triton_version.BOUNDED_QUEUES, step=True).splitlines()[-1]
    with tempfile.TemporaryDirectory() as folder:
        settings, _ = prepare_repositories(Settings.from_env(), Path(folder))
        config = settings.repositories / "python_backends" / "each_face" / "config.pbtxt"
        config.write_text(f"{config.read_text()}{bound}\n")
        with Server(replace(settings, log_folder=Path(folder))) as server:
            server.wait_ready()
            outcomes = asyncio.run(flood(server, astronaut, 3 * MAX_QUEUED))
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert refused
    for error in refused:
        assert isinstance(error, UnavailableError), repr(error)
        assert "maximum queue size" in str(error)
    answered = [one for one in outcomes if not isinstance(one, BaseException)]
    assert len(answered) >= MAX_QUEUED
    assert all(len(faces) == 1 for faces in answered)
