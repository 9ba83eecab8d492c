"""What the service holds on to after a thousand requests."""

from pathlib import Path

import psutil
from aurum_client import FaceClient

MEBIBYTE = 1 << 20


def pss(pid):
    """Proportional set size of a server and of all its Python processes, in bytes."""
    server = psutil.Process(pid)
    return sum(item.memory_full_info().pss for item in [server, *server.children(recursive=True)])


def shared_memory():
    """Bytes of all of Triton's regions in /dev/shm."""
    return sum(path.stat().st_size for path in Path("/dev/shm").glob("triton_*"))


def test_memory_after_a_thousand_requests(best, astronaut, request):
    photos = [astronaut] * 9 + [b"not a photo"]
    with FaceClient(best.urls[1], timeout=120) as client:
        client.analyze_many(photos * 20, concurrency=16)
        shared = shared_memory()
        results = client.analyze_many(photos * 100, concurrency=16)
    assert sum(isinstance(item, Exception) for item in results) == 100
    assert shared_memory() == shared
    total = pss(best.server.pid)
    print(f"PSS of all processes after 1,200 requests: {total / MEBIBYTE:.0f} MiB")
    assert total < 500 * 10**6
