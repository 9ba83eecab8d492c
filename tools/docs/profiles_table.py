"""Write the table of profiles into docs/guides/choosing.md, from the manifest and measured.json."""

from __future__ import annotations

import re

from aurum.models import manifest, measured
from aurum.models.manifest import Profile
from aurum.models.measured import Measured
from aurum.paths import CHECKOUT

PAGE = CHECKOUT / "docs" / "guides" / "choosing.md"
TABLE = re.compile(r"^\| profile \| detector \|.*?(?=\n\n)", re.DOTALL | re.MULTILINE)
HEADS = (
    *("profile", "detector", "embedder", "files, MB", "download", "commercial use", "calibrated"),
    *("LFW", "TAR at FAR 1e-3", "ms a photo", "memory, MB"),
)


def table() -> str:
    """All profiles as a Markdown table; "-": not measured, because the files are not here."""
    figures = measured.load()
    rows = [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|"]
    for profile in manifest.load().profiles.values():
        rows.append(f"| {' | '.join(_cells(profile, measured.of(profile, figures)))} |")
    return "\n".join(rows)


def _cells(profile: Profile, found: Measured) -> list[str]:
    sizes = [model.bytes for model in profile.models if model.file]
    known = sum(size for size in sizes if size)
    calibration = profile.embedder.calibration
    return [
        f"`{profile.name}`",
        *(f"`{model.name}`" for model in profile.models),
        f"{known / 1e6:.1f}" if all(sizes) else "unknown",
        "yes" if all(model.urls or not model.file for model in profile.models) else "no",
        profile.commercial_use,
        calibration.dataset.partition(",")[0] if calibration else "no",
        *(cell + "%" * (cell != "-" and at < 2) for at, cell in enumerate(measured.cells(found))),
    ]


def main() -> None:
    """Rewrite the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: table(), text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
