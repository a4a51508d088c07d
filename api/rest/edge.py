"""The edge where a request's transaction ends: nobody else commits, nobody can forget to."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import make_response, request
from sqlalchemy.exc import DBAPIError

from api.core.errors import Busy
from api.core.orm import ONLY_READS
from api.core.retry import transaction_retry
from api.extensions import db

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class OutcomeUnknown(Busy):
    """The connection broke while COMMIT was under way: the change may have happened or not."""

    code = "outcome_unknown"
    message = (
        "The connection to the database broke at the last moment, so the change may or may not have happened. "
        "Repeat the request with the same Idempotency-Key, or look before you repeat it without one."
    )


def transactional(view: Callable[..., Any]) -> Callable[..., Response]:
    """Commit when the view answers, roll back when it fails, do it all again on a deadlock or serialization failure.

    What a safe method reads needs no transaction, unless the view is marked as one that needs one all the same.
    """
    has_transaction = getattr(view, "_apidoc", {}).get("house", {}).get("has_transaction", False)

    @wraps(view)
    def edge(*args: Any, **kwargs: Any) -> Response:
        only_reads = request.method in SAFE_METHODS and not has_transaction
        return transaction_retry(_attempt, view, args, kwargs, only_reads=only_reads)

    return edge


def _attempt(view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, only_reads: bool) -> Response:
    session = db.session()
    session.info[ONLY_READS] = only_reads
    try:
        response = make_response(view(*args, **kwargs))
        session.info[ONLY_READS] = only_reads  # again: what was done apart has ended it
        session.flush()
        if only_reads:
            return response
    except BaseException:
        session.rollback()
        raise
    try:
        session.commit()
    except BaseException as error:
        session.rollback()
        if isinstance(error, DBAPIError) and error.connection_invalidated and request.method not in SAFE_METHODS:
            raise OutcomeUnknown from error
        raise
    return response
