"""Read tables of the docs."""

import re


def rows(page: str, heading: str, columns: int) -> list[list[str]]:
    """Return the cells of the table below a heading, without backquotes."""
    table = re.search(r"^\|(.*\n\|)*.*$", page.partition(f"\n{heading}\n")[2], re.M)[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [[cell.strip().replace("`", "") for cell in line[:columns]] for line in lines]
