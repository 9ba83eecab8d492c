"""Remove members so that no file keeps their embeddings.

LanceDB's `delete` only marks rows, and its `optimize` rewrites a file only once a tenth of it is
marked. So the rows that share a file with the removed ones are first moved to a new file, which
leaves the old one without any row.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

FRAGMENT = 2**32  # a row id is the number of the fragment, a group of files, times this, plus a row


def quoted(text: str) -> str:
    """Return text as a string of LanceDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


def among(members: Sequence[str]) -> str:
    """Return the SQL condition that a row is of one of the members."""
    return f"member IN ({', '.join(map(quoted, members))})"


def erase(table: Any, members: Sequence[str]) -> int:
    """Remove all faces of the members; return how many there were.

    If it is interrupted, the members are still there or their files are; a further call, also one
    for other members, finishes it.
    """
    gone = among(members)
    found = table.search().where(gone).with_row_id(True).select(["member"]).to_arrow()
    for fragment in sorted({row // FRAGMENT for row in found["_rowid"].to_pylist()}):
        rows = f"_rowid >= {fragment * FRAGMENT} AND _rowid < {(fragment + 1) * FRAGMENT}"
        table.update(where=f"{rows} AND NOT ({gone})", values_sql={"member": "member"})
    if found.num_rows:
        table.delete(gone)
    forget(table)
    return int(found.num_rows)


def forget(table: Any) -> None:
    """Delete all files that the newest version of the table doesn't use."""
    with warnings.catch_warnings():
        # It warns that other processes may be reading older versions: they fail, and try again.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(2):  # the first brings the index up to date, the second deletes the old one
            table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
