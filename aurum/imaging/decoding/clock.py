"""The processor time that one photo may take."""

from __future__ import annotations

import time

from aurum.imaging.decoding.refusal import InvalidImageError


class Clock:
    """Counts the processor time of the thread that made it, and no other's: one photo's."""

    def __init__(self, seconds: float) -> None:
        self._allowed = seconds
        self._start = time.thread_time()

    @property
    def left(self) -> float:
        """Seconds; none left: 0."""
        return max(self._allowed - (time.thread_time() - self._start), 0)

    def check(self, ahead: float = 0) -> None:
        """Refuse the photo if it has no time left for what will take `ahead` seconds."""
        if self.left <= ahead:
            raise InvalidImageError(
                "too_much_time",
                f"the image takes more than {self._allowed:g} s of processor time, which is all "
                "that one photo may take (AURUM_MAX_PHOTO_SECONDS)",
            )
