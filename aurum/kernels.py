"""The choice between plain graphs and graphs with our own kernels (backends/ops).

Each plain graph has a counterpart that uses the kernels (`beside`). A server chooses between the
two when it starts, because graphs are copied between machines. The kernels need a processor with
the instructions, the compiled library, and graphs that match the plain ones. If anything is
missing, the plain graphs are served, and `Choice.reason` says why.
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

# Name of the model configurations that use the graphs with kernels: model_repository/*/configs.
CONFIGURATION = "kernels"
# Metadata key under which a graph with kernels stores the sha256 of its plain graph.
MARK = "aurum.plain"
# The entry in protobuf's encoding, as stored in the file: a full parser would cost a server 30 MB.
_MARKED = re.compile(re.escape(MARK.encode()) + rb"\x12\x40([0-9a-f]{64})")


def beside(plain: Path) -> Path:
    """Return the path of the graph with kernels that belongs to a plain graph."""
    return plain.with_name(f"{plain.stem}.kernels.onnx")


@dataclass(frozen=True)
class Support:
    """Which kernels this machine can run."""

    name: str  # empty: none
    reason: str = ""  # why there are none


def find() -> Support:
    """Ask the library which kernels this machine can run."""
    if not OPERATORS.is_file():
        return Support("", f"{OPERATORS} is not compiled ({paths.SETUP})")
    try:
        library = ctypes.CDLL(str(OPERATORS))
        library.aurum_kernels.restype = ctypes.c_char_p
        name: str = library.aurum_kernels().decode()
    except (OSError, AttributeError) as error:
        return Support("", f"{OPERATORS} can't be loaded: {error}")
    return Support(name, "" if name else "this processor has neither AVX2 with FMA nor AVX-512")


@dataclass(frozen=True)
class Choice:
    """The kernels that a server is started with."""

    name: str  # of the kernels; empty: the plain graphs are served
    models: tuple[str, ...] = ()  # models that use the kernels; a rollout may add others
    reason: str = ""  # why the kernels are not used

    @property
    def flags(self) -> list[str]:
        """Flags for tritonserver."""
        return [f"--model-config-name={CONFIGURATION}"] if self.name else []

    def __str__(self) -> str:
        if self.name:
            return f"{self.name}: {', '.join(self.models) or 'none of these models'}"
        return f"none: {self.reason}"


def choose(settings: Settings, repository: Path, models: Sequence[str]) -> Choice:
    """Choose the kernels for a server of `models` in `repository`, a ``model_repository/``."""
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
    """Say what is beside a plain graph: "kernels", or a copy of it ("plain"); None: neither."""
    digest, other = files.sha256(plain), beside(plain)
    if not other.is_file():
        return None
    marked = _MARKED.findall(other.read_bytes())
    if marked and marked[-1].decode() == digest:
        return "kernels"
    return "plain" if files.sha256(other) == digest else None
