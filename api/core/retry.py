"""Doing a whole transaction again when PostgreSQL asks for it."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"


def sqlstate(error: BaseException | None) -> str | None:
    """Tell the five-character SQLSTATE of a database error, if it carries one."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _asks_for_another_try(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and sqlstate(error) in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}


transaction_retry = Retrying(
    retry=retry_if_exception(_asks_for_another_try),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.02, max=0.2),
    reraise=True,
)
"""Runs a function at most three times, with jitter in between; every other error passes straight through."""
