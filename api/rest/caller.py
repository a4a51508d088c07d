"""Who is asking: the bearer token is verified once per request and demanded scopes are checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask import g, request
from flask_jwt_extended import get_current_user, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import ExpiredSignatureError, PyJWTError

from api.core.errors import Forbidden, Malformed, Unauthenticated

if TYPE_CHECKING:
    from api.core.caller import Caller


class AuthenticationRequired(Unauthenticated):
    """No token was sent."""

    code = "authentication_required"
    message = "Send an access token: Authorization: Bearer …, as POST /api/v1/auth/token gives it."


class TokenInvalid(Unauthenticated):
    """The token is not one of ours, or no longer."""

    code = "token_invalid"
    message = "The access token is not valid; log in again."


class TokenExpired(Unauthenticated):
    """The token was ours and has run out."""

    code = "token_expired"
    message = "The access token has expired; refresh it or log in again."


class AuthorizationMalformed(Malformed):
    """The Authorization header cannot be read in one way only."""

    code = "authorization_malformed"
    message = "Send exactly one Authorization header of the form: Bearer TOKEN."


class ScopeMissing(Forbidden):
    """The caller is known and lacks a permission."""

    code = "forbidden"
    message = "This needs the permission {scope}, which the caller does not have."


def authenticate() -> Caller:
    """Verify the bearer token of this request and tell who sent it; the result is kept for the request.

    Raises:
        AuthenticationRequired: there is no token.
        AuthorizationMalformed: there are several, or the header has another form.
        TokenExpired: its time is over.
        TokenInvalid: it is not a live access token of ours.

    """
    if "caller" not in g:
        header = request.headers.get("Authorization")
        if header is None:
            raise AuthenticationRequired
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or "," in token or len(token.split()) != 1:
            raise AuthorizationMalformed
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"  # the one spelling flask-jwt-extended knows
        try:
            verify_jwt_in_request()
        except ExpiredSignatureError:
            raise TokenExpired from None
        except (PyJWTError, JWTExtendedException, ValueError, TypeError, KeyError, AttributeError):
            raise TokenInvalid from None
        g.caller = replace(get_current_user(), request_id=g.get("request_id"))
    return g.caller  # type: ignore[no-any-return]  # flask.g is untyped


def require(scopes: tuple[str, ...]) -> None:
    """Let pass only a caller that holds every scope.

    Raises:
        ScopeMissing: one is lacking; and whatever `authenticate` raises.

    """
    caller = authenticate()
    for scope in scopes:
        if not caller.may(scope):
            raise ScopeMissing(scope=scope)


def current() -> Caller:
    """Tell who sent the request that is being answered."""
    return authenticate()
