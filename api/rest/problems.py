"""The error envelope: every failure, whatever raised it, leaves in the same form."""

from __future__ import annotations

import math
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from flask import g, json, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from api.core import errors
from api.core.errors import Problem
from api.core.retry import sqlstate
from api.extensions import limiter
from api.rest.strict_json import InvalidCharacter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flask import Flask, Response

log = structlog.get_logger(__name__)

STATUS_OF_KIND: dict[type[errors.DomainError], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Gone: HTTPStatus.GONE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.RuleViolation: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PreconditionRequired: HTTPStatus.PRECONDITION_REQUIRED,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}

HTTP_MESSAGES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request is not understood."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not answer that method; the Allow header lists those it does."),
    413: ("body_too_large", "The body is larger than this installation accepts."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("rate_limited", "Too many requests; wait as long as the Retry-After header says."),
    500: ("internal_error", "Something went wrong here; the request id finds it in the log."),
}


class StaleVersion(errors.PreconditionFailed):
    """Somebody else changed the thing first."""

    code = "precondition_failed"
    message = "It has changed since you read it; read it again and repeat the change on what you find."


class AlreadyExists(errors.Conflict):
    """A unique constraint was hit and no domain claims it."""

    code = "already_exists"
    message = "Something with these values exists already."


class StillReferenced(errors.Conflict):
    """A foreign key points at nothing, or still points here."""

    code = "reference_conflict"
    message = "It refers to something that is not there, or something still refers to it."


class ConstraintViolated(errors.Conflict):
    """A CHECK constraint, the second wall behind the rules, refused a change."""

    code = "constraint_violated"
    message = "The change would break a rule that the database guards."


class OutOfRange(errors.RuleViolation):
    """A number too large for its column."""

    code = "out_of_range"
    message = "A number is larger than can be stored."


class DatabaseUnavailable(errors.Busy):
    """The database is away; nothing was changed."""

    code = "database_unavailable"
    message = "The database is not reachable; nothing was changed. Try again shortly."
    retry_after = 2


class DatabaseBusy(errors.Busy):
    """A pool, lock or statement time-out ended the request; nothing was changed."""

    code = "busy"
    message = "Too much is going on at once; nothing was changed. Try again shortly."


class ReadOnly(errors.Busy):
    """The database takes no writes at the moment."""

    code = "read_only"
    message = "The database is read-only at the moment; reads go on. Try the change again later."
    retry_after = 10


class StorageFull(errors.Busy):
    """The database has no room left."""

    code = "storage_full"
    message = "The database has no storage left; reads go on. Tell whoever runs this installation."
    retry_after = 60


ERROR_OF_SQLSTATE: dict[str, type[errors.DomainError]] = {
    "22003": OutOfRange,
    "22021": InvalidCharacter,
    "22P05": InvalidCharacter,
    "23503": StillReferenced,
    "23505": AlreadyExists,
    "23514": ConstraintViolated,
    "25006": ReadOnly,
    "25P03": DatabaseBusy,
    "40001": DatabaseBusy,
    "40P01": DatabaseBusy,
    "53100": StorageFull,
    "53200": DatabaseBusy,
    "53300": DatabaseBusy,
    "55P03": DatabaseBusy,
    "57014": DatabaseBusy,
    "57P01": DatabaseUnavailable,
    "57P02": DatabaseUnavailable,
    "57P03": DatabaseUnavailable,
}


def init_app(app: Flask) -> None:
    """Answer every exception with the envelope."""
    app.register_error_handler(errors.DomainError, answer_domain_error)
    app.register_error_handler(SQLAlchemyError, answer_database_error)
    app.register_error_handler(StaleDataError, lambda _: answer_domain_error(StaleVersion()))
    app.register_error_handler(UnicodeEncodeError, lambda _: answer_domain_error(InvalidCharacter()))
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_unexpected)


def answer_domain_error(error: errors.DomainError) -> Response:
    """Answer a refusal with the status of its kind."""
    status = status_of(type(error))
    response = envelope(status, error.problem, error.problems)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def status_of(refusal: type[errors.DomainError]) -> HTTPStatus:
    """Tell the status of a refusal: that of its kind."""
    return next(STATUS_OF_KIND[kind] for kind in refusal.__mro__ if kind in STATUS_OF_KIND)


def answer_database_error(error: SQLAlchemyError) -> Response:
    """Translate what the database says into something a caller can act on."""
    translated = translate(error)
    if translated is None:
        return answer_unexpected(error)
    if isinstance(translated, errors.Busy):
        log.warning("database_refused", code=translated.code, sqlstate=sqlstate(error), error=type(error).__name__)
    return answer_domain_error(translated)


def translate(error: SQLAlchemyError) -> errors.DomainError | None:
    """Find the refusal a database error stands for; None when it stands for a bug."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseBusy()
    if not isinstance(error, DBAPIError):
        return None
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    state = sqlstate(error) or ""
    meaning = _claimed_constraints().get(constraint) or ERROR_OF_SQLSTATE.get(state)
    if meaning is None and (state.startswith("08") or error.connection_invalidated or _is_a(error, "OperationalError")):
        meaning = DatabaseUnavailable
    if meaning is None and _is_a(error, "DataError") and "NUL" in str(error.orig):
        meaning = InvalidCharacter
    return meaning() if meaning else None


def _is_a(error: DBAPIError, name: str) -> bool:
    """Tell the driver's class of an error, which is all there is where it carries no SQLSTATE."""
    return type(error.orig).__name__ == name


def _claimed_constraints() -> dict[str | None, type[errors.DomainError]]:
    def descendants(kind: type[errors.DomainError]) -> Iterator[type[errors.DomainError]]:
        for child in kind.__subclasses__():
            yield child
            yield from descendants(child)

    return {name: child for child in descendants(errors.DomainError) for name in child.constraints()}


def answer_http_exception(error: HTTPException) -> Response:
    """Answer what Flask, Werkzeug and their extensions raise."""
    if error.response is not None and error.response.status_code < HTTPStatus.BAD_REQUEST:
        return error.response  # type: ignore[return-value]  # a redirect or a 304, not a failure
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer_unexpected(error)
    code, message = HTTP_MESSAGES.get(status, (_snake(error.name), error.description or error.name))
    response = envelope(status, Problem(code, message))
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    if status == HTTPStatus.TOO_MANY_REQUESTS and (limit := limiter.current_limit):
        seconds = min(math.ceil(limit.reset_at - time.time()), limit.limit.get_expiry())
        response.headers["Retry-After"] = str(max(1, seconds))
    return response


def answer_unexpected(error: BaseException) -> Response:
    """Log a bug with everything needed to find it, and tell the caller nothing but where to point."""
    if _is_transport_fault(error):
        return envelope(HTTPStatus.BAD_REQUEST, Problem("malformed_body", "The body did not arrive whole."))
    log.error("unexpected_error", method=request.method, path=request.path, exc_info=error)
    return envelope(HTTPStatus.INTERNAL_SERVER_ERROR, Problem(*HTTP_MESSAGES[500]))


def _is_transport_fault(error: BaseException) -> bool:
    """Tell whether gunicorn found the request malformed only while the body was being read."""
    return type(error).__module__.startswith("gunicorn.http")


def envelope(status: int, head: Problem, details: Iterable[Problem] = ()) -> Response:
    """Build the answer to a failure; `details` lists every problem and has at least the head."""
    problems = tuple(details) or (head,)
    g.problem_code = head.code
    body = {
        "code": head.code,
        "message": head.message,
        "field": head.field,
        "details": [problem.as_dict() for problem in problems],
        "request_id": g.get("request_id"),
    }
    response = json.jsonify({"error": body})
    response.status_code = status
    return response


def _snake(name: str) -> str:
    return re.sub(r"\W+", "_", name).lower()
