"""The comparison with floor and peer runs, and its report says what was measured."""

import re
from dataclasses import replace

from serving import copy_repositories, on_free_ports

from aurum.models.prove import PHOTO
from aurum.settings import Settings
from benchmarks import compare


def test_a_short_comparison(tmp_path):
    settings = replace(Settings.from_env(), profile="simulated", repositories=tmp_path)
    copy_repositories(tmp_path)
    rows = compare.measure(on_free_ports(settings), PHOTO, 1, 1, (1, 2))

    assert [(row.what, row.clients) for row in rows] == [
        ("floor", 0),
        ("service", 1),
        ("peer", 1),
        ("service", 2),
        ("peer", 2),
    ]
    assert all(row.rate > 0 and row.failures == 0 for row in rows)
    text = compare.report(rows, PHOTO, 1)
    assert "throughput at 2 clients, service / floor" in text
    assert len(re.findall(r"^\| (?:service|peer) \| [12] \| \d+\.\d", text, re.MULTILINE)) == 4
