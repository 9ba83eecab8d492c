"""List known vulnerabilities of the pinned Python packages, from the package index.

This is for networks where `pip-audit` reaches neither OSV nor the index's pages of single versions.
A project's page only covers its newest version, so a package pinned to an older one is reported as
unknown. Exit codes: 0 no known vulnerabilities; 1 there are some; 2 the index did not answer.

.venv/bin/python scripts/advisories.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
from pip._internal.models.index import PyPI  # the index that pip uses

LOCK = Path(__file__).parents[1] / "locks" / "test.txt"


def main() -> int:
    """Query the index for every package, and print the advisories."""
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
    print(f"{len(pins)} packages, {len(pins) - len(unknown)} checked, {len(found)} advisories")
    for line in found:
        print(f"- {line}")
    for line in unknown:
        print(f"- unknown: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
