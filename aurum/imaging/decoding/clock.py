"""The processor time that one photo may take."""

from __future__ import annotations

import time

from aurum.imaging.decoding.refusal import InvalidImageError


class Clock:
    """Counts one photo's processor time: that of the thread that made it, and what it is told."""

    def __init__(self, seconds: float) -> None:
        self._allowed = seconds
        self._elsewhere = 0.0
        self._start = time.thread_time()

    @property
    def left(self) -> float:
        """Seconds; none left: 0."""
        return max(self._allowed - self._elsewhere - (time.thread_time() - self._start), 0)

    def add(self, seconds: float) -> None:
        """Count what another process took for the photo."""
        self._elsewhere += seconds

    def check(self, ahead: float = 0) -> None:
        """Refuse the photo if it has no time left for what will take `ahead` seconds."""
        if self.left <= ahead:
            raise InvalidImageError(
                "too_much_time",
                f"the image takes more than {self._allowed:g} s of processor time, which is all "
                "that one photo may take (AURUM_MAX_PHOTO_SECONDS)",
            )
