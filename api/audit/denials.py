"""Refusals at the door are security events too, whichever route refused."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from flask import g, request
from sqlalchemy.exc import SQLAlchemyError

from api.audit import service
from api.extensions import db
from api.rest import caller, limits

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger(__name__)

UNREMARKABLE = frozenset({"authentication_required", "token_expired", "otp_required"})
"""What every client meets in the course of a normal day."""

WRITTEN_DOWN = frozenset({"credentials_invalid", "otp_invalid", "refresh_reused", "password_wrong"})
"""What the service that refuses writes down itself, because it knows more about it."""

WRITTEN_DOWN_RATE = "30 per minute"
"""Of one account, or of the strangers of one network."""

DENIALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def init_app(app: Flask) -> None:
    """Watch every answer."""
    app.after_request(_note)


def _note(response: Response) -> Response:
    code = g.get("problem_code")
    if response.status_code not in DENIALS or code in UNREMARKABLE | WRITTEN_DOWN:
        return response
    by = caller.whoever()
    try:
        limits.claim("denials", WRITTEN_DOWN_RATE, str(by.user_id or limits.network()), is_secret=True)
    except limits.RateLimited:  # the request log has them all; a log that cannot be shortened must not be flooded
        return response
    facts = {"code": code, "method": request.method, "path": request.path[:200]}
    try:
        service.record_refusal(db.session(), "access.denied", by=by, **facts)
    except SQLAlchemyError:
        log.exception("denial_not_recorded", **facts)
    return response
