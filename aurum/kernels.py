"""Our own kernels for some models (backends/ops): whether they run here, and on which graphs.

Beside each plain graph lies one for the kernels (`beside`). Which of the two is served is chosen
where a server starts, since graphs travel: it takes a processor that has the instructions, the
library that has the kernels, and graphs that belong to the plain ones beside them. Where anything
is missing the plain graphs are served, and `Choice.reason` says what.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aurum import files, paths
from aurum.native import OPERATORS
from aurum.settings import Settings

LIBRARY = OPERATORS
# The models' configurations that name the graphs with kernels: model_repository/*/configs.
CONFIGURATION = "kernels"
# Where a graph with kernels says which plain graph it stands for, by its sha256.
MARK = "aurum.plain"
# As it lies in the file, in protobuf's encoding: a whole parser would cost a server 30 MB.
_MARKED = re.compile(re.escape(MARK.encode()) + rb"\x12\x40([0-9a-f]{64})")


def beside(plain: Path) -> Path:
    """The file of the graph with kernels that belongs to a plain graph's."""
    return plain.with_name(f"{plain.stem}.kernels.onnx")


@dataclass(frozen=True)
class Found:
    """The kernels that run on this machine, by name; empty: none do, and why."""

    name: str
    reason: str = ""


def find() -> Found:
    """What the library says of this machine."""
    if not LIBRARY.is_file():
        return Found("", f"{LIBRARY} is not compiled ({paths.SETUP})")
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.aurum_kernels.restype = ctypes.c_char_p
        name: str = library.aurum_kernels().decode()
    except (OSError, AttributeError) as error:
        return Found("", f"{LIBRARY} can't be loaded: {error}")
    return Found(name, "" if name else "this processor has neither AVX2 with FMA nor AVX-512")


@dataclass(frozen=True)
class Choice:
    """What a server is started with."""

    name: str  # of the kernels; empty: the plain graphs are served
    models: tuple[str, ...] = ()  # that run by them; a rollout may bring others
    reason: str = ""  # why they are not used

    @property
    def flags(self) -> list[str]:
        """What tritonserver is told."""
        return [f"--model-config-name={CONFIGURATION}"] if self.name else []

    def __str__(self) -> str:
        if self.name:
            return f"{self.name}: {', '.join(self.models) or 'none of these models'}"
        return f"none: {self.reason}"


def choose(settings: Settings, repository: Path, models: Sequence[str]) -> Choice:
    """For a server of these models in `repository`, a ``model_repository/``."""
    if settings.kernels == "off":
        return Choice("", reason="AURUM_KERNELS=off")
    found = find()
    if not found.name:
        return Choice("", reason=found.reason)
    used = []
    for model in models:
        if not (repository / model / "configs" / f"{CONFIGURATION}.pbtxt").is_file():
            return Choice("", reason=f"{model} has no configs/{CONFIGURATION}.pbtxt")
        same = True
        for plain in (repository / model).glob("[0-9]*/model.onnx"):
            kind = _kind(plain)
            if kind is None:
                return Choice("", reason=f"{beside(plain)} does not belong to {plain.name}")
            same &= kind == "plain"
        if not same:
            used.append(model)
    return Choice(found.name, tuple(used))


def _kind(plain: Path) -> str | None:
    """What lies beside a plain graph: "kernels", or once more "plain"; None: neither."""
    digest, other = files.sha256(plain), beside(plain)
    if not other.is_file():
        return None
    marked = _MARKED.findall(other.read_bytes())
    if marked and marked[-1].decode() == digest:
        return "kernels"
    return "plain" if files.sha256(other) == digest else None
