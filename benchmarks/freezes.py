"""``python -m benchmarks.freezes``: supervised servers are frozen under load, as suspended VMs are.

All processes get SIGSTOP, and SIGCONT some seconds later. Prints how often one died of that and the
server was started anew, and what became of the requests of clients that try again
(docs/failures.md).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from aurum.server.private import furnish
from aurum.settings import Settings
from benchmarks.failures import Clients, part, supervised

BEFORE, AFTER = 2.0, 5.0  # seconds of load before and after a freeze


@dataclass(frozen=True)
class Freeze:
    """What one freeze came to."""

    restarted: bool
    longest: float  # seconds that a request waited, without those of the freeze
    answered: int
    failed: int


def freeze(up: int, settings: Settings, seconds: float) -> Freeze:
    """Freeze the processes of `aurum up` for so long."""
    root = psutil.Process(up)
    before = part(up, "tritonserver").pid
    with Clients(settings) as clients:
        time.sleep(BEFORE)
        frozen = [root, *root.children(recursive=True)]
        for process in frozen:
            process.suspend()
        time.sleep(seconds)
        for process in reversed(frozen):
            process.resume()
        time.sleep(AFTER)
    longest = max(clients.seconds, default=math.inf) - seconds
    restarted = part(up, "tritonserver").pid != before
    return Freeze(restarted, longest, len(clients.seconds), len(clients.errors))


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freezes", description=__doc__)
    parser.add_argument("--count", type=int, default=14)
    parser.add_argument("--seconds", type=float, default=5.0, help="that each lasts")
    given = parser.parse_args()
    freezes = []
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        settings, prepared = furnish(Settings.from_env(), Path(folder) / "repositories")
        settings = replace(settings, profile=prepared.profile.name, playground=False)
        for _ in range(given.count):
            with supervised(settings) as up:  # a new one: after five deaths in a row it would end
                freezes.append(freeze(up, settings, given.seconds))
            print(freezes[-1], flush=True)
    longest = max(one.longest for one in freezes)
    print(
        f"{sum(one.restarted for one in freezes)} of {len(freezes)} freezes of {given.seconds:g} s "
        f"ended a process; a request waited {longest:.1f} s longer at most; "
        f"{sum(one.answered for one in freezes)} requests answered, "
        f"{sum(one.failed for one in freezes)} failed"
    )


if __name__ == "__main__":
    main()
