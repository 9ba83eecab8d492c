"""Generated requests to the real service: no crash, no hang, no internal error.

Ten thousand of them: `python -m benchmarks hostile` (docs/reports/hostile).
"""

import subprocess
import sys

import pytest

from aurum.gateway import run as gateway
from aurum.paths import CHECKOUT
from aurum.settings import Settings
from benchmarks.robustness.hostile.cases import IMAGES, case
from benchmarks.robustness.hostile.run import SOUND, one_of_each, run, weigh
from benchmarks.robustness.hostile.served import served

COUNT = 2000
AGAIN = 200  # of them, to measure the cost of each
# The freed memory that glibc may keep per process (MALLOC_TRIM_THRESHOLD_, runtime.py).
KEPT_MB = 64 * 1.05


@pytest.mark.skipif(not gateway.installed(), reason="no nginx with njs")
def test_thousands_of_hostile_requests_do_no_harm(tmp_path):
    numbers = range(COUNT)
    with served(Settings.from_env()) as service:
        result = run(service.address, 1, numbers, service=service, failures=tmp_path)
        weigh(service, one_of_each(1, numbers, AGAIN), result)
    assert result.wrong == []
    assert result.ejected == 0
    assert len(result.costs) > AGAIN // 2
    assert result.neighbour.beside
    assert result.count == COUNT
    assert result.answers[SOUND, "as before"] == COUNT // 10
    number = int(result.processes.split()[0])
    assert result.memory[-1] - result.memory[0] < KEPT_MB * number
    # The generators cover both input that decodes and input that is refused.
    for kind in ("JPEG", "PNG", "WebP", "HEIF"):
        for answer in ("ok", "invalid_image"):
            found = (
                n
                for (of, said), n in result.answers.items()
                if of.startswith(kind) and said == answer
            )
            assert sum(found) > COUNT / 200


def test_one_case_is_repeated_by_its_number(simulated, tmp_path):
    number = next(n for n in range(100) if case(7, n).kind in IMAGES)
    flags = ["--seed", "7", "--case", str(number), "--out", str(tmp_path), "--url", *simulated.urls]
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "hostile", *flags],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "hostile requests: 1," in shown.stdout
    assert (tmp_path / "report.md").read_text() in shown.stdout
    assert case(7, number).kind in (tmp_path / "answers.csv").read_text()
    assert (tmp_path / "failures" / f"7-{number}.body").read_bytes() == case(7, number).call.body
