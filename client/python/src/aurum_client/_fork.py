"""What becomes of clients in a forked child, where the parent's threads do not exist."""

from __future__ import annotations

import ctypes
import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that must start afresh in a forked child."""

    def forked(self) -> None:
        """Forget threads, event loops and connections: they are the parent's."""
        ...


_living: WeakSet[Forkable] = WeakSet()


def restart_when_forked(item: Forkable) -> None:
    """Call ``item.forked()`` in each forked child, before any other code runs there."""
    _living.add(item)


def never_finalize(item: object) -> None:
    """Keep an object of the parent for the rest of the child's life.

    Its finalizer would unregister sockets from the epoll object that the parent still uses: the
    parent would then never hear of its own connections again.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))


def _forked() -> None:
    for item in list(_living):
        item.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)
