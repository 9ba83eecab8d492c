"""Work on untrusted bytes grows linearly with their number, not quadratically.

The tests measure the CPU time of this process and its children. If four times the size took 16
times as long, the work would be quadratic.
"""

import resource
from contextlib import suppress

import pytest

from aurum.imaging.decoding.decode import accept
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import InvalidImageError
from benchmarks.robustness.hostile import metadata

LIMITS = Limits(10**8, 10**8, 10**6, 10**6, memory=500_000_000, seconds=300, heic=True)
MOST = 6  # times the work of a quarter of the size
FLOOR = 0.02  # seconds; shorter times are not compared
EACH = 1e-6  # seconds per byte; linear work can be too much, too


def spent():
    """CPU seconds so far."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def work(data):
    """CPU seconds to process a file: the minimum of three, as others use the CPU."""
    taken = []
    for _ in range(3):
        start = spent()
        with suppress(InvalidImageError):
            accept(data, LIMITS).decode()
        taken.append(spent() - start)
    return min(taken)


@pytest.mark.parametrize("name", metadata.SHAPES)
def test_four_times_the_bytes_take_at_most_six_times_the_work(name):
    build, size = metadata.SHAPES[name]

    few, many = work(build(size)), work(build(4 * size))

    assert many <= MOST * max(few, FLOOR), f"{few:.3f} s, {many:.3f} s"
    assert many <= 5 * FLOOR + EACH * 4 * size
