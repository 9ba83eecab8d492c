"""Which photos belong to which shard of a run, by nothing but their ids."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from aurum.bulk import UsageError

MOST = 10_000  # shards


def key(photo: str) -> bytes:
    """Return a photo's id as 16 bytes, which take less memory than a path."""
    return hashlib.blake2b(photo.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a source; `index` counts from 0, as JOB_COMPLETION_INDEX does."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``I/N``. Raises UsageError unless 0 <= I < N."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not shard.index < shard.count <= MOST:
            raise UsageError(
                f"--shard {text}: must be I/N with I from 0 to N-1, N at most {MOST}, such as 0/4"
            )
        return shard

    def has(self, photo: bytes) -> bool:
        """Whether the photo with this key belongs to the shard."""
        return int.from_bytes(photo[:8]) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"
