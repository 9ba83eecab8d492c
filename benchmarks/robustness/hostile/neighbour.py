"""Another user of the same service with a separate key, to measure how hostile input affects it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from aurum.errors import OperatorError
from benchmarks.robustness.hostile import bases
from benchmarks.robustness.hostile.judge import WrongAnswerError, classify
from benchmarks.robustness.hostile.requests import Call
from benchmarks.robustness.hostile.send import Address, Sender

ALONE = 100  # selfies before anything hostile is sent
PERIOD = 0.1  # seconds between an answer and the next selfie


@dataclass
class Neighbour:
    """The user's waits for the answers to selfies, in seconds, and wrong answers."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def slowdown(self) -> float:
        """Ratio of the 95th percentiles, during the hostile load to before it; 0 without data."""
        return p95(self.beside) / p95(self.alone) if self.beside else 0.0


def p95(seconds: Sequence[float]) -> float:
    """Return the 95th percentile; 0 without data."""
    return float(np.percentile(seconds, 95)) if seconds else 0.0


@contextmanager
def beside(address: Address) -> Iterator[Neighbour]:
    """Send selfies one after the other: some now, alone, then more until the context ends.

    It runs in a separate process, so that Python's GIL and the generation of hostile input don't
    delay it.
    """
    user = Neighbour()
    spawn = multiprocessing.get_context("spawn")  # gRPC's threads don't survive a fork
    here, there = spawn.Pipe()
    process = spawn.Process(target=_live, args=(address, there), daemon=True)
    process.start()
    try:
        _receive(here)  # the measurement alone is complete
        yield user
    finally:
        with suppress(BrokenPipeError):
            here.send("stop")
        result = _receive(here)
        process.join()
    user.alone, user.beside, user.wrong = result.alone, result.beside, result.wrong


def _receive(pipe: Connection) -> Neighbour:
    try:
        result = pipe.recv()
    except EOFError:
        raise OperatorError("the neighbour's process ended") from None
    assert isinstance(result, Neighbour)
    return result


def _live(address: Address, pipe: Connection) -> None:
    """Send selfies until a message arrives."""
    user = Neighbour()
    call = Call("http", "embed_face", bases.jpegs()[0], {"Inference-Header-Content-Length": "0"})
    sender = Sender(address)

    def ask(kept: list[float]) -> None:
        answer = sender.send(call)
        kept.append(answer.seconds)
        try:
            outcome = classify(answer)
        except WrongAnswerError as error:
            outcome = str(error)
        if outcome != "ok":
            user.wrong.append(f"another user's selfie: {answer.status}, {outcome}")

    for _ in range(ALONE):
        ask(user.alone)
    pipe.send(user)
    while not pipe.poll(PERIOD):
        ask(user.beside)
    pipe.send(user)
    sender.close()
