"""Logging in over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import current_app

from api.auth import service, tokens
from api.auth.schemas import CredentialsSchema, PasswordGrantSchema, RefreshSchema, TokenSchema
from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint

blp = Blueprint("auth", __name__, url_prefix="/auth", description="Logging in, staying in, logging out.")


def _login_limit() -> str:
    return str(current_app.extensions["stockroom"].login_limit)


@blp.route("/token", methods=["POST"])
@blp.public
@blp.limit(_login_limit)
@blp.arguments_by_media_type(form=PasswordGrantSchema, json=CredentialsSchema)
@blp.response(HTTPStatus.OK, TokenSchema)
@blp.alt_response(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
def log_in(credentials: dict[str, Any]) -> dict[str, Any]:
    """Log in

    Takes the OAuth 2 password form, so that the Authorize button of Swagger UI works, or the same as JSON.
    """
    lifetime = current_app.extensions["stockroom"].refresh_token_seconds
    login = service.log_in(
        db.session(), email=credentials["username"], password=credentials["password"], lifetime=lifetime
    )
    return _pair(login)


@blp.route("/refresh", methods=["POST"])
@blp.public
@blp.limit(_login_limit)
@blp.arguments(RefreshSchema)
@blp.response(HTTPStatus.OK, TokenSchema)
@blp.alt_response(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
def refresh(body: dict[str, str]) -> dict[str, Any]:
    """Refresh tokens

    A refresh token is good once. When the one before the newest comes again, two parties hold the login, and it is
    ended for both.
    """
    return _pair(service.refresh(db.session(), token=body["refresh_token"]))


@blp.route("/logout", methods=["POST"])
@blp.requires()
@blp.response(HTTPStatus.NO_CONTENT)
def log_out() -> None:
    """Log out

    Ends the login this access token belongs to; both its tokens are refused from the next request on.
    """
    service.log_out(db.session(), by=caller.current())


def _pair(login: service.Login) -> dict[str, Any]:
    return {
        "access_token": tokens.issue(login.user_id, login.session_id),
        "refresh_token": login.refresh_token,
        "token_type": "Bearer",
        "expires_in": current_app.extensions["stockroom"].access_token_seconds,
    }
