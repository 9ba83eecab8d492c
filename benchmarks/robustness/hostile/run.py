"""Sends many cases at once, with sound photos in between, and counts what came back."""

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
from benchmarks.robustness.hostile.judge import WrongAnswerError, judge, tensors
from benchmarks.robustness.hostile.neighbour import Neighbour, beside
from benchmarks.robustness.hostile.send import HANG, Address, Sender
from benchmarks.robustness.hostile.served import Served

EVERY = 10  # cases between two sound photos
SOUND = "sound photos in between"
PERIOD = 1.0  # seconds between two looks at the memory
NICE = 10  # priority of those who send (nice(2))


@dataclass
class Result:
    """What came of a run."""

    seed: int
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and answer
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # PSS of the servers' processes, MB
    cpu: float | None = None  # seconds, of all processes of the servers
    costs: dict[int, tuple[str, float]] = field(default_factory=dict)  # kind and CPU seconds
    ejected: int | None = None  # times that the gateway left a server out
    neighbour: Neighbour | None = None
    processes: str = "not known: the server is not ours"
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """Hostile requests that were answered or not."""
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
        seed: that the cases are made from.
        numbers: of the cases.
        service: where it is ours: to see whether any process ended or was left out, how much memory
            and processor time they take, and how another user's selfies are answered meanwhile.
        clients: requests at a time.
        failures: folder that gets each request that was answered wrongly.
        done: called after each case.
    """
    result, lock = Result(seed), threading.Lock()
    queue = iter(numbers)
    known = _sound(address)

    def work() -> None:
        # Beside the service on its cores, those who send must not take them from it.
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
    """Send these cases once more, one at a time, and note what each costs the servers."""
    sender = Sender(service.address)
    try:
        for number in numbers:
            item = case(result.seed, number)
            if item.call.patience < HANG:
                continue  # goes on after its sender has gone
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
    """About `count` of the cases: some of every kind, and all heavy ones."""
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
        said = judge(answer)
    except WrongAnswerError as error:
        said = "WRONG"
        with lock:
            result.wrong.append(f"case {item.number} of seed {result.seed} ({item.kind}): {error}")
        if failures:
            keep(item, result.seed, failures)
    with lock:
        result.answers[item.kind, said] += 1
        result.slowest[item.kind] = max(result.slowest[item.kind], answer.seconds)


def keep(item: Case, seed: int, folder: Path) -> Path:
    """Write a request into files: its body, and how it was sent."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}-{item.number}"
    path.with_suffix(".body").write_bytes(item.call.body)
    told = {"kind": item.kind, "protocol": item.call.protocol, "model": item.call.model}
    told["headers"] = dict(item.call.headers)  # type: ignore[assignment]
    path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
    return path.with_suffix(".body")


Known = Sequence[tuple[requests.Call, Mapping[str, NDArray[np.generic]]]]


def _sound(address: Address) -> Known:
    """Sound photos and what the service says about them while nothing else goes on."""
    sender, known = Sender(address), []
    try:
        for data in (bases.jpegs()[0], bases.jpegs()[1], bases.pngs()[0], bases.webps()[0]):
            for number in range(6):  # every pipeline, both protocols
                call = requests.photo(Random(number), data)
                if judge(answer := sender.send(call)) == "ok":
                    known.append((call, tensors(answer)))
    finally:
        sender.close()
    if not known:
        raise WrongAnswerError("the service answers no sound photo")
    return known


def _between(
    sender: Sender, known: Known, random: Random, result: Result, lock: threading.Lock
) -> None:
    """A sound photo is answered as it was when nothing else went on."""
    call, before = random.choice(known)
    answer = sender.send(call)
    said = "as before"
    try:
        found = tensors(answer) if answer.status in ("200", "OK") else {}
        # Batches of other sizes may round otherwise.
        if set(found) != set(before) or not all(
            found[name].shape == before[name].shape
            and np.allclose(found[name], before[name], rtol=1e-3, atol=1e-2, equal_nan=True)
            for name in before
        ):
            raise WrongAnswerError(f"{answer.status}: not as before; {answer.error[:200]}")
    except WrongAnswerError as error:
        said = "WRONG"
        with lock:
            result.wrong.append(f"a sound photo to {call.model} over {call.protocol}: {error}")
    with lock:
        result.answers[SOUND, said] += 1
        result.slowest[SOUND] = max(result.slowest[SOUND], answer.seconds)


@contextmanager
def _watched(service: Served, result: Result) -> Iterator[None]:
    """Notice processes that end or are left out, and sample the memory of all of them."""
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
    """Ids and start times of the tritonservers and their stubs, without what decodes one photo."""
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
