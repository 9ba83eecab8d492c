"""Print records as a table, or as blocks of lines where a table would be too wide to read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

LAST = 24  # characters that the last column of a table needs at least; longer cells are wrapped


def show(console: Console, headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print the rows; the last column may have long texts, the others have words and names.

    Names stay on one line, since users copy them. If the console is too narrow for that, each row
    becomes a block of lines `header  cell` below its first cell.
    """
    table = Table(box=None, pad_edge=False, header_style="bold underline")
    for header in headers[:-1]:
        table.add_column(header, no_wrap=True)
    table.add_column(headers[-1], overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table if _needed(console, table) <= console.width else _blocks(headers, rows))


def _needed(console: Console, table: Table) -> int:
    """Return the width at which only long cells of the last column are wrapped."""
    wide = console.options.update(width=10_000)
    whole = Measurement.get(console, wide, table).maximum
    cells = table.columns[-1].cells
    last = max(Measurement.get(console, wide, cell).maximum for cell in cells)
    return whole - last + min(last, LAST)


def _blocks(headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Group:
    blocks: list[Text | Padding] = []
    for first, *cells in rows:
        lines = Table(box=None, show_header=False, pad_edge=False)
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        for header, cell in zip(headers[1:], cells, strict=True):
            if str(cell):
                lines.add_row(header, cell)
        name = first if isinstance(first, Text) else Text(first)
        blocks += [Text.assemble(name, style="bold"), Padding(lines, (0, 0, 0, 2))]
    return Group(*blocks)
