"""Known vulnerabilities of the pinned Python packages, as the package index itself lists them.

For networks where `pip-audit` reaches neither OSV nor the index's pages of single versions. A page
of a project speaks of its newest version alone, so a package that is pinned to an older one is
named as not known. Exit codes: 0 none known; 1 some are; 2 the index did not answer.

.venv/bin/python scripts/advisories.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
from pip._internal.models.index import PyPI  # where pip itself looks

LOCK = Path(__file__).parents[1] / "locks" / "test.txt"


def main() -> int:
    """Ask about every package, and print what came back."""
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK.read_text(), re.M)
    found, unknown = [], []
    try:
        with httpx.Client(base_url=PyPI.pypi_url, timeout=30, follow_redirects=True) as index:
            for name, version in pins:
                page = index.get(f"/{name}/{version}/json")
                if page.status_code == 404:
                    page = index.get(f"/{name}/json")
                document = page.raise_for_status().json()
                if document["info"]["version"] != version:
                    unknown.append(f"{name} {version} (newest: {document['info']['version']})")
                    continue
                found += [
                    f"{name} {version}: {item['id']} {' '.join(item['aliases'])}: {item['details']}"
                    for item in document["vulnerabilities"]
                    if not item["withdrawn"]
                ]
    except httpx.HTTPError as error:
        print(f"the index did not answer: {error!r}", file=sys.stderr)
        return 2
    print(f"{len(pins)} packages, {len(pins) - len(unknown)} asked about, {len(found)} advisories")
    for line in found:
        print(f"- {line}")
    for line in unknown:
        print(f"- not known: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
