"""Waiting for news inside a request: few at a time, without a database connection, and not when the process ends."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOKS_EVERY_SECONDS = 0.2


class IsOver(Protocol):
    """Tells whether a wait is over."""

    def __call__(self, *, pause: bool = True) -> bool:
        """Look, after a moment if it is not over."""


class WaitingRoom:
    """Seats for requests that wait: each takes a thread of its web process, so the others need some too."""

    def __init__(self, seats: int) -> None:
        """Begin with all seats free."""
        self._seats = BoundedSemaphore(seats) if seats else None
        self.is_closing: Callable[[], bool] = lambda: False
        """Tells whether the process is about to end; set by whoever runs it."""

    @contextmanager
    def seat(self, seconds: float) -> Iterator[IsOver]:
        """Take a seat, if one is free, and get a function that tells whether the wait is over.

        It tells so slowly if not, unless there is to be no `pause`. Without a free seat the wait is over at once.
        """
        taken = self._seats is not None and self._seats.acquire(blocking=False)
        until = time.monotonic() + (seconds if taken else 0)

        def is_over(*, pause: bool = True) -> bool:
            left = until - time.monotonic()
            if left <= 0 or self.is_closing():
                return True
            if pause:
                time.sleep(min(left, LOOKS_EVERY_SECONDS))
            return False

        try:
            yield is_over
        finally:
            if taken and self._seats is not None:
                self._seats.release()
