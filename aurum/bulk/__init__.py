"""Embed many photos once, into Parquet files, and compare two such runs (docs/guides/bulk.md)."""

from __future__ import annotations

from aurum.errors import OperatorError


class BulkError(OperatorError, RuntimeError):
    """The run stopped, or can't begin; what was written stays, and a rerun continues."""


class UsageError(BulkError):
    """The source, the shard or an address can't be used."""


class ServiceDownError(BulkError):
    """No server answers."""
