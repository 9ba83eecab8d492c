"""Run Locust without its web UI: at a given load, or searching for the highest rate held."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aurum.errors import OperatorError
from aurum.paths import CHECKOUT
from benchmarks.load.outcome import Load, last_lines

TIMEOUT = 600  # seconds for its start and its end, which take long on a busy machine
LONGEST = 60  # seconds in which at least one request must end
LOG = "locust.log"
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
PHOTOS = CHECKOUT / "aurum" / "assets"
# Definition of "held": p95 below this limit, and at least this share of the rate answered.
P95_LIMIT_MS = 100.0
MIN_SHARE = 0.95


class LocustError(OperatorError, RuntimeError):
    """Locust itself failed, not the service; the message has its last lines of output."""


def run(
    url: str,
    folder: Path,
    *,
    users: int,
    seconds: float,
    rate: float = 0.0,
    photos: Path = PHOTOS,
) -> Load:
    """Load the server at `url` (http://, https:// or grpc://) and return Locust's result.

    If no request ends in that time, as on a busy machine, it runs again for twice as long.

    Args:
        url: the server; its scheme selects the protocol.
        folder: where to write Locust's CSV files, HTML report and log.
        users: number of users, each waiting for its answer.
        seconds: duration.
        rate: photos per second of all users together; 0: as fast as the answers arrive.
        photos: a photo or a folder of photos, uploaded in turn.

    Raises:
        LocustError: Locust could not run, or sent nothing.
    """
    scheme, _, address = url.partition("://")
    if scheme in ("http", "https"):
        target = ["HttpFaces", f"--host={url}"]
    elif scheme == "grpc":
        target = ["GrpcFaces", f"--grpc-host={address}"]
    else:
        raise LocustError(f"{url}: the address must begin with http://, https:// or grpc://")
    if not photos.exists():
        raise LocustError(f"{photos}: there is no such photo or folder")
    command = [
        *(sys.executable, "-m", "locust", f"--locustfile={LOCUSTFILE}", *target),
        *("--headless", "--only-summary", "--exit-code-on-error=0", "--stop-timeout=10"),
        *(f"--users={users}", f"--spawn-rate={users}"),
        *(f"--photos={photos.resolve()}", f"--rate={rate / users}"),
    ]
    load = _run(command, folder.resolve(), math.ceil(seconds))
    while not load.requests and seconds < LONGEST:
        seconds *= 2
        load = _run(command, folder.resolve(), math.ceil(seconds))
    if not load.requests:
        raise LocustError(f"Locust sent nothing:\n{last_lines(folder / LOG)}")
    return load


def _run(command: Sequence[str], folder: Path, seconds: int) -> Load:
    """Run Locust once, with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    for old in folder.glob("*.csv"):
        old.unlink()
    command = [
        *(*command, f"--run-time={seconds}s", f"--html={folder / 'locust.html'}"),
        *(f"--csv={folder / 'locust'}", f"--final-csv={folder / 'final'}"),
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait(timeout=seconds + TIMEOUT)
        except subprocess.TimeoutExpired:
            raise LocustError(f"Locust did not end:\n{last_lines(log)}") from None
        finally:
            process.kill()
            process.wait()
    stats = folder / "final_stats.csv"
    if code or not stats.is_file():
        raise LocustError(f"Locust ended with {code}:\n{last_lines(log)}")
    if bugs := list(csv.DictReader((folder / "final_exceptions.csv").open())):
        raise LocustError(f"Locust's users crashed ({bugs[0]['Message']}):\n{last_lines(log)}")
    return parse(stats.read_text(), (folder / "final_failures.csv").read_text())


def parse(stats: str, failures: str = "") -> Load:
    """Parse Locust's CSVs of statistics and failures. Raises LocustError for another format."""
    try:
        (row,) = (row for row in csv.DictReader(stats.splitlines()) if row["Name"] == "Aggregated")
        return Load(
            requests=int(row["Request Count"]),
            failures=int(row["Failure Count"]),
            rate=float(row["Requests/s"]),
            # Without requests Locust writes N/A.
            p50=_milliseconds(row["50%"]),
            p95=_milliseconds(row["95%"]),
            p99=_milliseconds(row["99%"]),
            reasons={
                _reason(row["Error"]): int(row["Occurrences"])
                for row in csv.DictReader(failures.splitlines())
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LocustError(f"Locust's CSV lacks or breaks {error}:\n{stats}{failures}") from None


def held(load: Load, rate: float, limit_ms: float = P95_LIMIT_MS) -> bool:
    """Return whether the service held `rate`: fast enough, and without failures."""
    return not load.failures and load.p95 < limit_ms and load.rate >= MIN_SHARE * rate


def find_held_rate(
    measure: Callable[[float], Load],
    *,
    start: float = 10.0,
    growth: float = 1.5,
    precision: float = 0.05,
    limit_ms: float = P95_LIMIT_MS,
    trials: int = 100,
) -> tuple[float, dict[float, Load]]:
    """Find the highest rate (photos per second) that the service holds.

    The rate grows by the factor `growth` until one is not held (or shrinks until one is). Then
    bisection narrows the interval to `precision`, as a share of the rate.

    Args:
        measure: loads the service at a rate and returns the result.
        start: the first rate.
        growth: more than 1.
        precision: share of the rate.
        limit_ms: upper limit of the latencies' 95th percentile.
        trials: largest number of rates to try; it may end the search before reaching `precision`.

    Returns:
        The highest rate that was held (0 if none), and all measurements.
    """
    tried: dict[float, Load] = {}

    def holds(rate: float) -> bool:
        tried[rate] = measure(rate)
        return held(tried[rate], rate, limit_ms)

    low, high = (start, math.inf) if holds(start) else (0.0, start)
    while (low == 0.0 or high == math.inf) and len(tried) < trials:
        rate = low * growth if low else high / growth
        if rate < 1:
            return 0.0, tried
        low, high = (rate, high) if holds(rate) else (low, rate)
    while low and high - low > precision * high and len(tried) < trials:
        rate = (low + high) / 2
        low, high = (rate, high) if holds(rate) else (low, rate)
    return low, tried


def run_rate(url: str, folder: Path, rate: float, *, seconds: float, photos: Path = PHOTOS) -> Load:
    """Load the server with `rate` photos per second, whether or not it keeps up.

    Each user sends one photo per second. Only an answer slower than that delays the user's next
    photo, and then the rate is not held anyway.
    """
    users = math.ceil(rate)
    return run(url, folder, users=users, seconds=seconds, rate=rate, photos=photos)


def _milliseconds(text: str) -> float:
    return math.nan if text == "N/A" else float(text)


def _reason(error: str) -> str:
    """Return the reason without the exception that Locust wraps around it."""
    match = re.fullmatch(r"CatchResponseError\('(.*)'\)", error)
    return match[1] if match else error
