"""``python -m benchmarks members rates BULK_OUTPUT``: what the thresholds of searches are worth.

Of a bulk run over photos `person/file.jpg`, all pairs of two people are compared: how many are
above the threshold for each rate from 1e-2 to 1e-6, and which rate that is. Below 1e-4 the
thresholds are extrapolated from the calibration.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aurum_client import FARS

from aurum.evaluation.strangers import rates
from aurum.members import MembersError
from aurum.members.decision import STRICTEST, threshold
from benchmarks.members.people import People, real

RATES = (*FARS, 1e-5, STRICTEST)


def report(people: People) -> str:
    """Return the table: a row for each rate.

    Raises MembersError if the embedder was not calibrated, or if there are no two people.
    """
    calibration = people.model.calibration
    if calibration is None:
        raise MembersError(f"{people.model.embedder} was not calibrated, so it has no thresholds")
    limits = {far: limit for far in RATES if (limit := threshold(calibration, far)) is not None}
    found = rates(people.vectors, people.names, list(limits.values()))
    if not found.pairs:
        raise MembersError("all photos are of one person, but pairs of strangers are compared")
    lines = [
        f"{found.pairs:,} pairs of strangers: {found.photos:,} photos of "
        f"{len(set(people.names.tolist())):,} people, embedded by {people.model.embedder}",
        "",
        "| rate | threshold | | pairs above it | their rate |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (far, limit), accepted in zip(limits.items(), found.accepted, strict=True):
        kind = "extrapolated" if far < FARS[-1] else "calibrated"
        share = accepted / found.pairs
        lines.append(f"| {far:.0e} | {limit:.4f} | {kind} | {accepted:,} | {share:.1e} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks members rates", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("output", type=Path, metavar="BULK_OUTPUT")
    print(report(real(parser.parse_args().output)), end="")
    return 0
