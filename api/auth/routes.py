"""Logging in over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app
from flask.views import MethodView

from api.auth import edge, service, tokens
from api.auth.schemas import (
    ConfirmationSchema,
    CredentialsSchema,
    KeySetSchema,
    PasswordGrantSchema,
    RefreshSchema,
    SessionPageSchema,
    SessionQuerySchema,
    TokenSchema,
)
from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing

well_known = Blueprint("well_known", __name__, url_prefix="/.well-known", description="What others need to know.")
blp = Blueprint("auth", __name__, url_prefix="/auth", description="Logging in, staying in, logging out.")


@blp.route("/token", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments_by_media_type(form=PasswordGrantSchema, json=CredentialsSchema)
@blp.response(HTTPStatus.OK, TokenSchema)
@blp.alt_response(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
def log_in(credentials: dict[str, Any]) -> dict[str, Any]:
    """Log in

    Takes the OAuth 2 password form, so that the Authorize button of Swagger UI works, or the same as JSON. An account
    with a second factor is answered 401 `otp_required` until `otp` comes along.
    """
    return _pair(edge.log_in(credentials["username"], password=credentials["password"], otp=credentials["otp"]))


@blp.route("/reauthenticate", methods=["POST"])
@blp.requires("account")
@blp.strictly_limited
@blp.arguments(ConfirmationSchema)
@blp.response(HTTPStatus.NO_CONTENT)
def reauthenticate(body: dict[str, Any]) -> None:
    """Confirm who I am

    Sensitive changes (second factor, API keys, e-mail address) ask for it when the login is older than a quarter of an
    hour.
    """
    edge.reauthenticate(**body)


@blp.route("/refresh", methods=["POST"])
@blp.public
@blp.limited_by("refresh_limit")
@blp.arguments(RefreshSchema)
@blp.response(HTTPStatus.OK, TokenSchema)
@blp.alt_response(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED")
def refresh(body: dict[str, str]) -> dict[str, Any]:
    """Refresh tokens

    A refresh token is good once. For half a minute, and as long as its successor has not been used, it gets the same
    successor again, in case the answer was lost; otherwise two parties must hold it, and the login is ended for both.
    """
    return _pair(edge.refresh(body["refresh_token"]))


@blp.route("/logout", methods=["POST"])
@blp.requires()
@blp.response(HTTPStatus.NO_CONTENT)
def log_out() -> None:
    """Log out

    Ends the login this access token belongs to; both its tokens are refused from the next request on.
    """
    service.log_out(db.session(), by=caller.current())


@blp.route("/sessions")
class SessionCollection(MethodView):
    """Logins."""

    @blp.requires("account")
    @blp.arguments(SessionQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, SessionPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List logins

        One's own, newest first; whoever holds `sessions:all` sees everybody's.
        """
        return service.listing(db.session(), **query, by=caller.current())

    @blp.requires("account")
    @blp.response(HTTPStatus.NO_CONTENT)
    def delete(self) -> None:
        """Log out everywhere

        Ends every login of mine, this one included.
        """
        service.end_all(db.session(), caller.current().own_id, reason="logged out everywhere", by=caller.current())


@blp.route("/sessions/<uuid:session_id>")
class SessionMember(MethodView):
    """One login."""

    @blp.requires("account")
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def delete(self, session_id: UUID) -> None:
        """End a login

        One of mine, or with `sessions:all` anybody's; its tokens are refused from the next request on.
        """
        service.end(db.session(), session_id, by=caller.current())


@well_known.route("/jwks.json")
@well_known.public
@well_known.response(HTTPStatus.OK, KeySetSchema)
def jwks() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Show the public keys

    With these, others can verify access tokens of this installation (RFC 7517). Keep them for five minutes at most, and
    look again when a token names a key you do not know.
    """
    return tokens.ring().jwks(), HTTPStatus.OK, {"Cache-Control": "public, max-age=300"}


def _pair(login: service.Login) -> dict[str, Any]:
    return {
        "access_token": tokens.issue(login.user_id, login.session_id),
        "refresh_token": login.refresh_token,
        "token_type": "Bearer",
        "expires_in": current_app.extensions["stockroom"].access_token_seconds,
    }
