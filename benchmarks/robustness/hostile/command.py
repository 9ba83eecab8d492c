"""``python -m benchmarks hostile``: send hostile images and requests to the real service.

Exit codes: 0 the contract allows every answer; 1 a wrong answer; 2 wrong usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from aurum.cli import checked
from aurum.paths import CHECKOUT
from aurum.settings import Settings
from benchmarks.robustness.hostile.cases import case
from benchmarks.robustness.hostile.report import write
from benchmarks.robustness.hostile.run import keep, one_of_each, run, weigh
from benchmarks.robustness.hostile.send import Address
from benchmarks.robustness.hostile.served import Served, served

AGAIN = 300  # cases that are sent again, to measure the cost of each
OUT = CHECKOUT / ".aurum" / "hostile"


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="number of cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="only the case with this number")
    parser.add_argument("--clients", type=int, default=8, help="requests in flight")
    parser.add_argument("--servers", type=int, default=2, help="tritonservers behind the gateway")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the report")
    parser.add_argument("--url", nargs=2, metavar=("HTTP", "GRPC"), help="use a running server")
    parser.add_argument("--key", default="", help="API key for its gateway")
    parser.add_argument("--ca", type=Path, help="CA certificate of its gateway")
    given = parser.parse_args()
    numbers = range(given.count) if given.case is None else [given.case]
    failures = given.out / "failures"
    command = f"python -m benchmarks hostile --count {given.count} --seed {given.seed}"
    console = Console(stderr=True)

    def measure(address: Address, service: Served | None = None) -> int:
        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("hostile", total=len(numbers))
            result = run(
                address,
                given.seed,
                numbers,
                service=service,
                clients=given.clients,
                failures=failures,
                done=lambda: progress.advance(task),
            )
            if service:
                again = one_of_each(given.seed, numbers, AGAIN)
                weigh(service, progress.track(again, description="one at a time"), result)
        path = write(result, given.out, command)
        print(path.read_text())
        if given.case is not None:
            print(f"the request: {keep(case(given.seed, given.case), given.seed, failures)}")
        return 1 if result.wrong else 0

    if given.url:
        http, grpc = given.url
        for url in given.url:
            checked(url).close()
        return measure(Address(http, grpc, given.key, given.ca))
    with served(Settings.from_env(), given.servers) as service:
        return measure(service.address, service)
