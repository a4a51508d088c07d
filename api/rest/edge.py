"""The edge where a request's transaction ends: nobody else commits, nobody can forget to."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import make_response, request
from sqlalchemy.exc import DBAPIError

from api.core.errors import Busy
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
    """Commit when the view answers, roll back when it fails, do it all again on a deadlock or serialization failure."""

    @wraps(view)
    def edge(*args: Any, **kwargs: Any) -> Response:
        return transaction_retry(_attempt, view, args, kwargs)

    return edge


def _attempt(view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Response:
    session = db.session()
    try:
        response = make_response(view(*args, **kwargs))
        session.flush()
    except BaseException:
        session.rollback()
        raise
    try:
        session.commit()
    except DBAPIError as error:
        session.rollback()
        if error.connection_invalidated and request.method not in SAFE_METHODS:
            raise OutcomeUnknown from error
        raise
    return response
