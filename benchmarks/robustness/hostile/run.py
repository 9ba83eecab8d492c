"""Send many cases concurrently, with valid photos in between, and count the answers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.common import processes
from benchmarks.robustness.hostile import bases, requests
from benchmarks.robustness.hostile.cases import HEAVY, Case, case, kind
from benchmarks.robustness.hostile.judge import WrongAnswerError, classify, tensors
from benchmarks.robustness.hostile.neighbour import Neighbour, beside
from benchmarks.robustness.hostile.send import HANG, Address, Sender
from benchmarks.robustness.hostile.served import Served

EVERY = 10  # cases between two valid photos
SOUND = "sound photos in between"
PERIOD = 1.0  # seconds between two memory samples
NICE = 10  # priority of the sending threads (nice(2))


@dataclass
class Result:
    """Result of a run."""

    seed: int
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and answer
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # PSS of the servers' processes, MB
    cpu: float | None = None  # seconds, of all processes of the servers
    costs: dict[int, tuple[str, float]] = field(default_factory=dict)  # kind and CPU seconds
    ejected: int | None = None  # how often the gateway excluded a server
    neighbour: Neighbour | None = None
    processes: str = "unknown: not our server"
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """Number of hostile requests, answered or not."""
        return sum(n for (kind, _), n in self.answers.items() if kind != SOUND)


def run(
    address: Address,
    seed: int,
    numbers: Sequence[int],
    *,
    service: Served | None = None,
    clients: int = 8,
    failures: Path | None = None,
    done: Callable[[], object] = lambda: None,
) -> Result:
    """Send the cases `numbers` of `seed` to the service.

    Args:
        address: of the service.
        seed: of the cases.
        numbers: of the cases.
        service: if we started it: to watch its processes, their memory and CPU time, excluded
            servers, and how another user's selfies are answered meanwhile.
        clients: requests in flight.
        failures: folder for requests that were answered wrongly.
        done: called after each case.
    """
    result, lock = Result(seed), threading.Lock()
    queue = iter(numbers)
    known = _sound(address)

    def work() -> None:
        # The senders share the service's cores and must not take CPU time from it.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        sender = Sender(address)
        try:
            while (number := _next(queue, lock)) is not None:
                _hostile(sender, case(seed, number), result, lock, failures)
                if number % EVERY == 0:
                    _between(sender, known, Random(number), result, lock)
                done()
        finally:
            sender.close()

    began = time.monotonic()
    with ExitStack() as stack:
        if service:
            result.neighbour = stack.enter_context(beside(service.neighbour))
            stack.enter_context(_watched(service, result))
            began = time.monotonic()
        pool = stack.enter_context(ThreadPoolExecutor(clients))
        for worker in [pool.submit(work) for _ in range(clients)]:
            worker.result()
        result.seconds = time.monotonic() - began
    if result.neighbour:
        result.wrong += result.neighbour.wrong
    return result


def weigh(service: Served, numbers: Iterable[int], result: Result) -> None:
    """Send these cases again, one at a time, and record the servers' CPU time for each."""
    sender = Sender(service.address)
    try:
        for number in numbers:
            item = case(result.seed, number)
            if item.call.patience < HANG:
                continue  # the server still works on it after the client has disconnected
            before = processes.cpu_seconds(*service.pids)
            sender.send(item.call)
            spent = processes.cpu_seconds(*service.pids) - before
            result.costs[number] = item.kind, spent
            if spent > service.budget:
                result.wrong.append(
                    f"case {number} of seed {result.seed} ({item.kind}): {spent:.1f} s of a core, "
                    f"at most {service.budget:g} are allowed"
                )
    finally:
        sender.close()


def one_of_each(seed: int, numbers: Sequence[int], count: int) -> list[int]:
    """Select about `count` of the cases: some of every kind, and all heavy ones."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        kinds[kind(seed, number)].append(number)
    each = max(count // max(len(kinds), 1), 1)
    chosen = (found if name == HEAVY else found[:each] for name, found in kinds.items())
    return sorted(number for some in chosen for number in some)


def _next(queue: Iterator[int], lock: threading.Lock) -> int | None:
    with lock:
        return next(queue, None)


def _hostile(
    sender: Sender, item: Case, result: Result, lock: threading.Lock, failures: Path | None
) -> None:
    answer = sender.send(item.call)
    try:
        outcome = classify(answer)
    except WrongAnswerError as error:
        outcome = "WRONG"
        with lock:
            result.wrong.append(f"case {item.number} of seed {result.seed} ({item.kind}): {error}")
        if failures:
            keep(item, result.seed, failures)
    with lock:
        result.answers[item.kind, outcome] += 1
        result.slowest[item.kind] = max(result.slowest[item.kind], answer.seconds)


def keep(item: Case, seed: int, folder: Path) -> Path:
    """Write a request to files: its body, and how it was sent."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}-{item.number}"
    path.with_suffix(".body").write_bytes(item.call.body)
    facts = {"kind": item.kind, "protocol": item.call.protocol, "model": item.call.model}
    facts["headers"] = dict(item.call.headers)  # type: ignore[assignment]
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n")
    return path.with_suffix(".body")


Known = Sequence[tuple[requests.Call, Mapping[str, NDArray[np.generic]]]]


def _sound(address: Address) -> Known:
    """Return valid photos, and the idle service's answers to them."""
    sender, known = Sender(address), []
    try:
        for data in (bases.jpegs()[0], bases.jpegs()[1], bases.pngs()[0], bases.webps()[0]):
            for number in range(6):  # every pipeline, both protocols
                call = requests.photo(Random(number), data)
                if classify(answer := sender.send(call)) == "ok":
                    known.append((call, tensors(answer)))
    finally:
        sender.close()
    if not known:
        raise WrongAnswerError("the service answers no valid photo")
    return known


def _between(
    sender: Sender, known: Known, random: Random, result: Result, lock: threading.Lock
) -> None:
    """Check that a valid photo gets the same answer as from the idle service."""
    call, before = random.choice(known)
    answer = sender.send(call)
    outcome = "as before"
    try:
        found = tensors(answer) if answer.status in ("200", "OK") else {}
        # Batches of different sizes may round differently.
        if set(found) != set(before) or not all(
            found[name].shape == before[name].shape
            and np.allclose(found[name], before[name], rtol=1e-3, atol=1e-2, equal_nan=True)
            for name in before
        ):
            raise WrongAnswerError(f"{answer.status}: not as before; {answer.error[:200]}")
    except WrongAnswerError as error:
        outcome = "WRONG"
        with lock:
            result.wrong.append(f"a valid photo to {call.model} over {call.protocol}: {error}")
    with lock:
        result.answers[SOUND, outcome] += 1
        result.slowest[SOUND] = max(result.slowest[SOUND], answer.seconds)


@contextmanager
def _watched(service: Served, result: Result) -> Iterator[None]:
    """Detect processes that end and servers that are excluded; sample all processes' memory."""
    pids = service.pids
    before, spent = _alive(pids), processes.cpu_seconds(*pids)
    with processes.sampled(*pids, period=PERIOD) as result.memory:
        yield
    after = _alive(pids)
    result.processes = f"{len(before)} of the servers, all the same before and after"
    if before != after:
        result.processes = f"before {sorted(before)}, after {sorted(after)}"
        result.wrong.append(f"processes of the server ended: {result.processes}")
    else:
        result.memory.append(processes.memory(*pids))
        result.cpu = processes.cpu_seconds(*pids) - spent
    disturbed = service.gateway.disturbed()
    result.ejected = len(disturbed)
    result.wrong += (f"counted against a server: {line}" for line in disturbed)


def _alive(pids: Sequence[int]) -> set[tuple[int, float]]:
    """Return ids and start times of tritonservers and stubs, without short-lived decoders."""
    try:
        every = [item for pid in pids for item in processes.tree(pid)]
    except psutil.NoSuchProcess:
        return set()
    return {(item.pid, item.create_time()) for item in every if _lasts(item)}


def _lasts(process: psutil.Process) -> bool:
    try:
        return not any("decoder_process" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False
