"""API keys as bearer tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.api_keys import service
from api.extensions import db
from api.rest.caller import Authenticator, TokenInvalid, register

if TYPE_CHECKING:
    from flask import Flask

    from api.core.caller import Caller

log = structlog.get_logger(__name__)


def init_app(app: Flask) -> None:
    """Accept API keys wherever an access token is accepted."""
    register(app, Authenticator(recognises=lambda token: token.startswith(service.MARK), read=read))


def read(token: str) -> Caller:
    """Tell whose key this is; that it is in use is noted once a minute, and refuses nobody when it cannot be.

    Raises:
        TokenInvalid: it is unknown, wrong, revoked or expired, or its owner's account is closed.

    """
    shown = service.read(db.session(), token)
    if shown is None:
        raise TokenInvalid
    if shown.is_use_to_be_noted and shown.caller.api_key_id is not None:
        try:
            service.note_use(db.session(), shown.caller.api_key_id)
        except SQLAlchemyError:
            log.warning("use_of_a_key_not_noted", key_id=str(shown.caller.api_key_id), exc_info=True)
    return shown.caller
