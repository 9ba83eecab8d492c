"""The public contract in one place: names, shapes, error codes and limits.

Tests hold the served configurations, the Node client and docs/reference/contract.md to it.
"""

from __future__ import annotations
