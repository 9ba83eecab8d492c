"""Another user of the same service, with a key of its own: does a hostile one disturb it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.hostile import bases
from benchmarks.hostile.judge import WrongAnswerError, judge
from benchmarks.hostile.requests import Call
from benchmarks.hostile.send import Address, Sender
from benchmarks.meanwhile import repeated

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
        """The 95th percentile beside the hostile user, over that alone."""
        return p95(self.beside) / p95(self.alone)


def p95(seconds: Sequence[float]) -> float:
    """The 95th percentile; 0 of nothing."""
    return float(np.percentile(seconds, 95)) if seconds else 0.0


@contextmanager
def beside(address: Address) -> Iterator[Neighbour]:
    """Send selfies one after the other: some now, alone, and others until the context ends."""
    user = Neighbour()
    selfie = bases.jpegs()[0]
    call = Call("http", "embed_face", selfie, {"Inference-Header-Content-Length": "0"})
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

    try:
        for _ in range(ALONE):
            ask(user.alone)
        with repeated(lambda: ask(user.beside), PERIOD):
            yield user
    finally:
        sender.close()
