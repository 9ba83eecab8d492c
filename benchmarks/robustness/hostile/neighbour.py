"""Another user of the same service, with a key of its own: does a hostile one disturb it?"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from aurum.errors import OperatorError
from benchmarks.robustness.hostile import bases
from benchmarks.robustness.hostile.judge import WrongAnswerError, judge
from benchmarks.robustness.hostile.requests import Call
from benchmarks.robustness.hostile.send import Address, Sender

ALONE = 100  # selfies before anybody else sends
PERIOD = 0.1  # seconds between an answer and the next selfie


@dataclass
class Neighbour:
    """How long it waits for the answer to a selfie, in seconds, and what was no answer."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def slowdown(self) -> float:
        """The 95th percentile beside the hostile user, over that alone; 0 of none."""
        return p95(self.beside) / p95(self.alone) if self.beside else 0.0


def p95(seconds: Sequence[float]) -> float:
    """The 95th percentile; 0 of nothing."""
    return float(np.percentile(seconds, 95)) if seconds else 0.0


@contextmanager
def beside(address: Address) -> Iterator[Neighbour]:
    """Send selfies one after the other: some now, alone, and others until the context ends.

    From a process of its own: Python's lock and the making of hostile input must not delay it.
    """
    user = Neighbour()
    spawn = multiprocessing.get_context("spawn")  # gRPC's threads survive no fork
    here, there = spawn.Pipe()
    process = spawn.Process(target=_live, args=(address, there), daemon=True)
    process.start()
    try:
        _told(here)  # it has been alone for long enough
        yield user
    finally:
        with suppress(BrokenPipeError):
            here.send("enough")
        told = _told(here)
        process.join()
    user.alone, user.beside, user.wrong = told.alone, told.beside, told.wrong


def _told(pipe: Connection) -> Neighbour:
    try:
        told = pipe.recv()
    except EOFError:
        raise OperatorError("the neighbour's process ended") from None
    assert isinstance(told, Neighbour)
    return told


def _live(address: Address, pipe: Connection) -> None:
    """Send selfies until told that it is enough."""
    user = Neighbour()
    call = Call("http", "embed_face", bases.jpegs()[0], {"Inference-Header-Content-Length": "0"})
    sender = Sender(address)

    def ask(kept: list[float]) -> None:
        answer = sender.send(call)
        kept.append(answer.seconds)
        try:
            said = judge(answer)
        except WrongAnswerError as error:
            said = str(error)
        if said != "ok":
            user.wrong.append(f"another user's selfie: {answer.status}, {said}")

    for _ in range(ALONE):
        ask(user.alone)
    pipe.send(user)
    while not pipe.poll(PERIOD):
        ask(user.beside)
    pipe.send(user)
    sender.close()
