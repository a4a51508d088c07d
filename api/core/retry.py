"""Doing a whole transaction again when PostgreSQL asks for it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE_SECONDS = 0.02
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
RESULT_CHANGED, STATEMENT_GONE = "0A000", "26000"
"""A statement was prepared before a migration, or before somebody had PostgreSQL forget it; next time it is anew."""

ASK_FOR_ANOTHER_TRY = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED, RESULT_CHANGED, STATEMENT_GONE})


def sqlstate(error: BaseException | None) -> str | None:
    """Tell the five-character SQLSTATE of a database error, if it carries one."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _asks_for_another_try(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and sqlstate(error) in ASK_FOR_ANOTHER_TRY


_further_tries = Retrying(
    retry=retry_if_exception(_asks_for_another_try),
    stop=stop_after_attempt(2),
    wait=wait_random_exponential(multiplier=0.04, max=0.2),
    reraise=True,
)


def transaction_retry[**P, Result](work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Run a function at most three times, with jitter in between; every other error passes straight through."""
    try:
        return work(*args, **kwargs)
    except DBAPIError as error:
        if not _asks_for_another_try(error):
            raise
    time.sleep(random.uniform(0, FIRST_PAUSE_SECONDS))  # noqa: S311  # no secret
    return _further_tries(work, *args, **kwargs)
