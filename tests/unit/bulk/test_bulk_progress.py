"""What a run shows meanwhile, in a log and on a terminal."""

import io

import pytest
from rich.console import Console

from aurum.bulk.run import Tally
from aurum.cli import progress


@pytest.mark.parametrize("terminal", [False, True])
def test_done_rate_failures_and_time_left_are_shown(monkeypatch, terminal):
    monkeypatch.setattr(progress, "LINE", 0)
    clock = iter(range(100, 200, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=120, get_time=lambda: 0)
    with progress.bulk(console) as update:
        update(Tally(todo=1000, photos=20, faces=9, failed={"invalid_image": 2, "server": 1}))
    if terminal:
        assert "20/1000" in shown.getvalue()
        assert "2.0/s, 3 failed," in shown.getvalue()
    else:
        assert shown.getvalue() == "20 of 1000 photos, 2.0/s, 3 failed, 0:08:10 left\n"
