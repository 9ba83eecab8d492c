"""The report of the comparison, against figures worked out by hand."""

from pathlib import Path

import pytest

from benchmarks import wrk
from benchmarks.compare import Row, report


def test_ratios_are_of_the_same_round_and_their_median_is_told():
    rows = []
    for index, (floor, service, peer) in enumerate([(100, 50, 40), (200, 180, 60), (10, 6, 6)]):
        rows += [
            Row(index, "floor", 0, floor, 0, 0, 0),
            Row(index, "service", 1, service, 10 * (index + 1), 20, 0),
            Row(index, "peer", 1, peer, 20, 30, index),
        ]
    text = report(rows, Path("photo.jpg"), 5)

    assert "| floor | - | 100.0 | - | - | 0 |" in text
    assert "| service | 1 | 50.0 | 20.0 | 20.0 | 0 |" in text
    assert "| peer | 1 | 40.0 | 20.0 | 30.0 | 3 |" in text
    assert "| throughput at 1 clients, service / floor | 0.60 | 0.50 | 0.90 |" in text
    assert "| throughput at 1 clients, service / peer | 1.25 | 1.00 | 3.00 |" in text
    assert "| p50 at 1 client, service / peer | 1.00 | 0.50 | 1.50 |" in text


def test_a_missing_wrk_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RuntimeError, match="apt-get install wrk"):
        wrk.post("http://127.0.0.1:1", tmp_path, 1, 1, tmp_path)
