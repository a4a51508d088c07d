"""When to try again, leave an endpoint in peace, or give it up (Standard Webhooks: deliverability and reliability)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Between one attempt and the next: ten attempts within 76 hours, and jitter."""

MOST_ATTEMPTS = len(WAITS) + 1
JITTER = 0.1
THROTTLED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
OPENS_AFTER = 5
"""Failures in a row after which the circuit opens."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
LONGEST_THROTTLE = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=5)
"""An endpoint that has only failed for so long is switched off: later than the last attempt of any delivery."""

GONE, FAILING = "gone", "failing"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt."""

    delivery_id: object
    endpoint_id: object
    number: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    detail: str | None
    excerpt: str | None
    retry_after: float | None
    is_success: bool


@dataclass
class Health:
    """How an endpoint has been doing, and what follows from it."""

    failures: int
    failing_since: datetime | None
    resume_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    disabled_reason: str | None = None

    def note(self, result: Result, *, now: datetime) -> None:
        """Take one more result into account."""
        if result.is_success:
            self.failures, self.failing_since, self.resume_at, self.last_success_at = 0, None, None, now
            return
        self.failures += 1
        self.failing_since = self.failing_since or now
        self.last_failure_at = now
        if pause := _pause(result, self.failures):
            self.resume_at = max(self.resume_at or now, now + pause)
        if result.status == HTTPStatus.GONE:
            self.disabled_reason = GONE
        elif now - self.failing_since > GIVEN_UP_AFTER:
            self.disabled_reason = FAILING


def next_wait(attempts: int, retry_after: float | None) -> timedelta | None:
    """Tell how long to wait after so many failed attempts; None when it has been tried often enough."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return _jittered(max(WAITS[max(0, attempts - 1)], timedelta(seconds=retry_after or 0)))


def _pause(result: Result, failures: int) -> timedelta | None:
    if result.status in THROTTLED:
        asked = timedelta(seconds=result.retry_after) if result.retry_after is not None else FIRST_PAUSE
        return min(max(asked, timedelta(seconds=1)), LONGEST_THROTTLE)
    if failures >= OPENS_AFTER:
        doublings = min(failures - OPENS_AFTER, 10)
        return _jittered(min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE))
    return None


def _jittered(wait: timedelta) -> timedelta:
    return wait * random.uniform(1, 1 + JITTER)  # noqa: S311  # spreads load, guards nothing
