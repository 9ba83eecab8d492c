"""Write the table of settings into docs/reference/configuration.md."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from aurum.paths import CHECKOUT
from aurum.settings import PREFIX, Settings

PAGE = CHECKOUT / "docs" / "reference" / "configuration.md"
TABLE = re.compile(r"^\| variable \| default \|.*?(?=\n\n)", re.DOTALL | re.MULTILINE)


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for item in fields(Settings):
        default = item.default
        if "in_home" in item.metadata:
            place = item.metadata["in_home"]
            own = "(see right)" if item.name == "home" else "AURUM_HOME"
            default = f"`{place}` in AURUM_HOME" if place else own
        elif isinstance(default, Path):
            default = "the checkout; installed: `repositories` in AURUM_HOME"
        elif isinstance(default, bool):
            default = int(default)
        elif default == "":
            default = "(see right)"
        rows.append(f"| `{PREFIX}{item.name.upper()}` | {default} | {item.metadata['doc']} |")
    return "\n".join(rows)


def main() -> None:
    """Rewrite the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
