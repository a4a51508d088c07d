"""Access tokens: signed, ten minutes, bound to a login that is looked up on every request (RFC 9068, RFC 8725)."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import jwt as pyjwt
import structlog
from flask import current_app
from flask_jwt_extended import get_current_user, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import ExpiredSignatureError, PyJWTError

from api.auth import service
from api.auth.errors import SigningKeyMissing
from api.auth.keys import KeyRing, NoSigningKeyError
from api.extensions import db, jwt
from api.rest.caller import Authenticator, TokenExpired, TokenInvalid, register

if TYPE_CHECKING:
    from flask import Flask

    from api.auth.keys import PublicKey
    from api.config import Settings
    from api.core.caller import Caller

log = structlog.get_logger(__name__)

ALGORITHMS = ["RS256", "EdDSA"]
"""What a key may be for; each is for one of them."""

TOKEN_TYPE = "at+jwt"  # noqa: S105  # the media type of RFC 9068, not a password
REQUIRED_CLAIMS = frozenset({"exp", "iat", "jti", "iss", "aud", "sub", "sid", "type"})
LEEWAY_SECONDS = 30


def init_app(app: Flask, settings: Settings) -> None:
    """Tell flask-jwt-extended what a token of ours looks like; keys are parsed when first needed."""
    app.config.update(
        JWT_ALGORITHM=ALGORITHMS[0],
        JWT_DECODE_ALGORITHMS=ALGORITHMS,
        JWT_TOKEN_LOCATION=["headers"],
        JWT_COOKIE_CSRF_PROTECT=False,  # no cookies, so no claim about them
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.access_token_seconds),
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_DECODE_ISSUER=settings.jwt_issuer,
        JWT_DECODE_AUDIENCE=settings.jwt_audience,
    )
    app.extensions["key_ring"] = KeyRing(
        settings.keys_dir, overlap_seconds=settings.access_token_seconds + LEEWAY_SECONDS
    )
    jwt.init_app(app)
    register(app, Authenticator(recognises=lambda _: True, read=read))


def issue(user_id: UUID, session_id: UUID) -> str:
    """Sign an access token for a login; it says who and which login, nothing else."""
    settings: Settings = current_app.extensions["stockroom"]
    try:
        key = ring().signing_key
    except NoSigningKeyError:
        log.exception("no_signing_key")
        raise SigningKeyMissing from None
    now = int(time.time())
    claims = {
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "sub": str(user_id),
        "sid": str(session_id),
        "jti": str(uuid4()),
        "iat": now,
        "exp": now + settings.access_token_seconds,
        "type": "access",
    }
    return pyjwt.encode(claims, key.private, key.algorithm, headers={"kid": key.kid, "typ": TOKEN_TYPE})


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
    except NoSigningKeyError:
        log.exception("no_signing_key")
        raise SigningKeyMissing from None
    except (PyJWTError, JWTExtendedException, ValueError, TypeError, KeyError, AttributeError):
        raise TokenInvalid from None
    caller: Caller = get_current_user()
    return caller


def ring() -> KeyRing:
    """Find the keys of this installation."""
    found: KeyRing = current_app.extensions["key_ring"]
    return found


@jwt.decode_key_loader
def _verifying_key(header: dict[str, Any], claims: dict[str, Any]) -> PublicKey:
    if header.get("typ") != TOKEN_TYPE or "crit" in header:
        raise KeyError(header.get("typ"))
    if claims.get("type") != "access" or not claims.keys() >= REQUIRED_CLAIMS:  # later, defaults fill what is missing
        raise KeyError(claims.get("type"))
    key = ring().verifying_key(header.get("kid"))
    if header.get("alg") != key.algorithm:
        raise KeyError(header.get("alg"))
    return key.public


@jwt.token_verification_loader
def _claims_are_ours(_: dict[str, Any], claims: dict[str, Any]) -> bool:
    longest = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()
    return bool(claims["exp"] - claims["iat"] <= longest)


@jwt.user_lookup_loader
def _caller(_: dict[str, Any], claims: dict[str, Any]) -> Caller | None:
    fresh = current_app.extensions["stockroom"].reauthentication_seconds
    user_id, session_id = UUID(claims["sub"]), UUID(claims["sid"])
    return service.caller_of(db.session(), user_id=user_id, session_id=session_id, fresh_seconds=fresh)
