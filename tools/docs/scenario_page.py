"""Compare or write the scenarios' output in docs/reports/scenarios.md.

`make pages` runs the scenarios and writes it.
"""

from __future__ import annotations

import re
import sys

import pytest

from aurum.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "reports" / "scenarios.md"
PICTURES = CHECKOUT / "docs" / "reports" / "scenarios"
BLOCK = re.compile(r"(<!-- seen: (\w+) -->\n```text\n)(.*?)(```\n)", re.DOTALL)
# What may differ slightly on another CPU: decimal numbers and scores.
CLOSE = re.compile(r"-?\d+\.\d+|(?<=[Ss]core )\d+|(?<=[Ss]core: )\d+")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
VARIES = "~ "  # marks a line whose numbers differ from run to run


class Seen:
    """The output of one scenario."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.pictures: dict[str, bytes] = {}

    def __call__(self, line: str) -> None:
        self._lines.append(line)

    def measured(self, line: str) -> None:
        """Add a line whose numbers differ from run to run."""
        self._lines.append(VARIES + line)

    def picture(self, name: str, photo: bytes) -> None:
        """Add a picture to the page's folder."""
        self.pictures[name] = photo

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def check(self, test: str) -> None:
        """Assert that the page shows these lines and links these pictures."""
        for name in self.pictures:
            assert f"(scenarios/{name})" in PAGE.read_text("utf-8")
            assert (PICTURES / name).is_file()
        shown = {match[2]: match[3] for match in BLOCK.finditer(PAGE.read_text("utf-8"))}
        expected_lines = shown.get(test, "").splitlines()
        for line, expected in zip(self._lines, expected_lines, strict=True):
            number = NUMBER if line.startswith(VARIES) else CLOSE
            assert number.sub("N", line) == number.sub("N", expected)
            if number is CLOSE:
                for found, wanted in zip(CLOSE.findall(line), CLOSE.findall(expected), strict=True):
                    assert float(found) == pytest.approx(
                        float(wanted), abs=0.03 if "." in found else 3
                    )


class Writer:
    """A pytest plugin in which the scenarios put their output."""

    __name__ = "writer"  # pytest's name of it

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}

    def write(self) -> None:
        def block(match: re.Match[str]) -> str:
            return match[1] + self.seen[match[2]].text + match[4]

        PAGE.write_text(BLOCK.sub(block, PAGE.read_text("utf-8")), "utf-8")
        PICTURES.mkdir(exist_ok=True)
        for seen in self.seen.values():
            for name, photo in seen.pictures.items():
                (PICTURES / name).write_bytes(photo)


def main() -> int:
    writer = Writer()
    code = pytest.main([str(CHECKOUT / "tests" / "scenarios")], plugins=[writer])
    if code == 0:
        writer.write()
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
