"""The budget of processor time for one photo."""

from __future__ import annotations

import time

from aurum.imaging.decoding.refusal import InvalidImageError


class Clock:
    """Counts one photo's processor time against its budget.

    It counts the time of the thread that created it, plus what `add` reports.
    """

    def __init__(self, seconds: float) -> None:
        self._allowed = seconds
        self._elsewhere = 0.0
        self._start = time.thread_time()

    @property
    def left(self) -> float:
        """Remaining seconds, at least 0."""
        return max(self._allowed - self._elsewhere - (time.thread_time() - self._start), 0)

    def add(self, seconds: float) -> None:
        """Add the processor time that another process spent on the photo."""
        self._elsewhere += seconds

    def check(self, ahead: float = 0) -> None:
        """Raise InvalidImageError unless more than `ahead` seconds are left."""
        if self.left <= ahead:
            raise InvalidImageError(
                "too_much_time",
                f"the image takes more than {self._allowed:g} s of processor time, the limit for "
                "one photo (AURUM_MAX_PHOTO_SECONDS)",
            )
