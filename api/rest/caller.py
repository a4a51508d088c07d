"""Who is asking: the bearer token is verified once per request and demanded scopes are checked.

What a token is, and whose, is for those to say who make them: each registers how its tokens are recognised and read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flask import current_app, g, has_request_context, request

from api.core.caller import Caller
from api.core.errors import Forbidden, Malformed, Unauthenticated
from api.rest import limits
from api.rest.requests import client_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

AGENT_LENGTH = 200


class AuthenticationRequired(Unauthenticated):
    """No token was sent."""

    code = "authentication_required"
    message = "Send an access token: Authorization: Bearer …, as POST /api/v1/auth/token gives it."


class TokenInvalid(Unauthenticated):
    """The token is not one of ours, or no longer."""

    code = "token_invalid"
    message = "The token is not valid, or not any more: refresh it, log in again, or use another API key."


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


class ReauthenticationRequired(Forbidden):
    """The change is sensitive and the login too old to be sure who sits there."""

    code = "reauthentication_required"
    message = "Confirm who you are first: POST /api/v1/auth/reauthenticate with your password (and `otp`)."


class Authenticator(NamedTuple):
    """One kind of bearer token: how it looks, and who sends it.

    `read` raises `TokenInvalid` or `TokenExpired`, or any other refusal that says better what to do.
    """

    recognises: Callable[[str], bool]
    read: Callable[[str], Caller]


def register(app: Flask, authenticator: Authenticator) -> None:
    """Let callers in who bring one more kind of token; kinds are tried in the order of their registration."""
    app.extensions.setdefault("authenticators", []).append(authenticator)


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
        g.caller = _placed(_read(token.strip()))
        limits.claim("account", current_app.extensions["stockroom"].account_limit, str(g.caller.user_id))
    return g.caller  # type: ignore[no-any-return]  # flask.g is untyped


def require(scopes: tuple[str, ...], *, fresh: bool = False) -> None:
    """Let pass only a caller that holds every scope and, where it matters, has just shown its credentials.

    Raises:
        ScopeMissing: one is lacking; and whatever `authenticate` raises.
        ReauthenticationRequired: the login is not fresh.

    """
    caller = authenticate()
    for scope in scopes:
        if not caller.may(scope):
            raise ScopeMissing(scope=scope)
    if fresh and not caller.is_fresh:
        raise ReauthenticationRequired


def current() -> Caller:
    """Tell who sent the request that is being answered."""
    return authenticate()


def stranger() -> Caller:
    """Tell where the request comes from when it needs no token: at a login, for example."""
    return _placed(Caller.stranger())


def whoever() -> Caller:
    """Tell who sent the request, as far as that is known by now; without one, it is a command or a task that asks."""
    if not has_request_context():
        return Caller.system()
    found: Caller = g.get("caller") or stranger()
    return found


def _read(token: str) -> Caller:
    for kind in current_app.extensions["authenticators"]:
        if kind.recognises(token):
            caller: Caller = kind.read(token)
            return caller
    raise TokenInvalid


def _placed(caller: Caller) -> Caller:
    agent = request.headers.get("User-Agent", "")[:AGENT_LENGTH].encode("ascii", "replace").decode() or None
    return replace(caller, request_id=g.get("request_id"), address=client_address(), agent=agent)
