"""Waiting for something to become true, with a deadline; never sleeping for luck."""

from __future__ import annotations

from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_until(is_true: Callable[[], bool], *, seconds: float) -> None:
    """Poll until a condition holds.

    Raises:
        TimeoutError: it does not within `seconds`.

    """
    deadline = monotonic() + seconds
    pause = Event()
    while not is_true():
        if monotonic() > deadline:
            message = f"{is_true} did not become true within {seconds} s"
            raise TimeoutError(message)
        pause.wait(POLL_SECONDS)
