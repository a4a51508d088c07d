"""Access tokens: RS256, ten minutes, bound to a login that is looked up on every request (RFC 9068, RFC 8725)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import current_app
from flask_jwt_extended import create_access_token, get_current_user, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import ExpiredSignatureError, PyJWTError

from api.auth import service
from api.auth.keys import KeyRing
from api.extensions import db, jwt
from api.rest.caller import Authenticator, TokenExpired, TokenInvalid, register

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from flask import Flask

    from api.config import Settings
    from api.core.caller import Caller

ALGORITHM = "RS256"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # the media type of RFC 9068, not a password
REQUIRED_CLAIMS = frozenset({"exp", "iat", "jti", "iss", "aud", "sub", "sid", "type"})
LEEWAY_SECONDS = 30


def init_app(app: Flask, settings: Settings) -> None:
    """Tell flask-jwt-extended what a token of ours looks like; keys are parsed when first needed."""
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_TOKEN_LOCATION=["headers"],
        JWT_COOKIE_CSRF_PROTECT=False,  # no cookies, so no claim about them
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.access_token_seconds),
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_DECODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_DECODE_AUDIENCE=settings.jwt_audience,
    )
    app.extensions["key_ring"] = KeyRing(settings.keys_dir)
    jwt.init_app(app)
    register(app, Authenticator(recognises=lambda _: True, read=read))


def issue(user_id: UUID, session_id: UUID) -> str:
    """Sign an access token for a login; it says who and which login, nothing else."""
    header = {"kid": _ring().signing_kid, "typ": TOKEN_TYPE}
    claims = {"sid": str(session_id)}
    token: str = create_access_token(str(user_id), additional_claims=claims, additional_headers=header)
    return token


def read(_: str) -> Caller:
    """Tell who sent the access token of this request.

    Raises:
        TokenExpired: its time is over.
        TokenInvalid: it is not a live access token of ours.

    """
    try:
        verify_jwt_in_request()
    except ExpiredSignatureError:
        raise TokenExpired from None
    except (PyJWTError, JWTExtendedException, ValueError, TypeError, KeyError, AttributeError):
        raise TokenInvalid from None
    caller: Caller = get_current_user()
    return caller


def _ring() -> KeyRing:
    ring: KeyRing = current_app.extensions["key_ring"]
    return ring


@jwt.encode_key_loader
def _signing_key(_: object) -> RSAPrivateKey:
    return _ring().signing_key


@jwt.decode_key_loader
def _verifying_key(header: dict[str, Any], claims: dict[str, Any]) -> RSAPublicKey:
    if header.get("alg") != ALGORITHM or header.get("typ") != TOKEN_TYPE or "crit" in header:
        raise KeyError(header.get("typ"))
    if claims.get("type") != "access" or not claims.keys() >= REQUIRED_CLAIMS:  # later, defaults fill what is missing
        raise KeyError(claims.get("type"))
    return _ring().public_key(header.get("kid"))


@jwt.token_verification_loader
def _claims_are_ours(_: dict[str, Any], claims: dict[str, Any]) -> bool:
    longest = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()
    return bool(claims["exp"] - claims["iat"] <= longest)


@jwt.user_lookup_loader
def _caller(_: dict[str, Any], claims: dict[str, Any]) -> Caller | None:
    fresh = current_app.extensions["stockroom"].reauthentication_seconds
    user_id, session_id = UUID(claims["sub"]), UUID(claims["sid"])
    return service.caller_of(db.session(), user_id=user_id, session_id=session_id, fresh_seconds=fresh)
