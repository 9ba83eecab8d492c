"""Ten thousand generated requests to the real service: no crash, no hang, no internal error."""

import pytest

from aurum.edge import run as edge
from aurum.settings import Settings
from benchmarks.hostile.run import SOUND, run
from benchmarks.hostile.served import served

COUNT = 10_000
# What glibc may keep of freed memory in each process (MALLOC_TRIM_THRESHOLD_, runtime.py).
KEPT_MB = 64 * 1.05


@pytest.mark.skipif(not edge.installed(), reason="no nginx with njs")
def test_ten_thousand_hostile_requests(tmp_path):
    with served(Settings.from_env()) as (address, pid):
        result = run(address, 1, range(COUNT), pid=pid, failures=tmp_path)
    assert result.wrong == []
    assert result.count == COUNT
    assert result.answers[SOUND, "as before"] == COUNT // 10
    number = int(result.processes.split()[0])
    assert result.memory[-1] - result.memory[0] < KEPT_MB * number
    # The generators reach both ends: what decoders take, and what they refuse.
    for kind in ("JPEG", "PNG", "WebP"):
        for answer in ("ok", "invalid_image"):
            found = (
                n
                for (of, said), n in result.answers.items()
                if of.startswith(kind) and said == answer
            )
            assert sum(found) > COUNT / 200
