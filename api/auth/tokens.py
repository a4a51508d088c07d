"""Access tokens: signed, ten minutes, bound to a login that is looked up on every request (RFC 9068, RFC 8725)."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import jwt as pyjwt
import structlog
from flask import current_app
from flask_jwt_extended import decode_token
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
MOST_PROOFS = 4096
"""Tokens a process remembers having verified, some 2 kB each."""


class Proof(NamedTuple):
    """What a token says whose signature and claims have been verified; whether it is still good is asked each time."""

    user_id: UUID
    session_id: UUID
    kid: str
    expires_at: int


class Proofs:
    """Tokens that have been verified already: a token comes with every request and stays the same for minutes."""

    def __init__(self) -> None:
        """Know none."""
        self._known: OrderedDict[str, Proof] = OrderedDict()

    def get(self, token: str) -> Proof | None:
        """Find what is known of a token, unless its time is over or its key has been removed.

        Raises:
            ExpiredSignatureError, KeyError: those.

        """
        proof = self._known.get(token)
        if proof is not None:
            if proof.expires_at <= time.time() - LEEWAY_SECONDS:
                raise ExpiredSignatureError
            ring().verifying_key(proof.kid)
        return proof

    def keep(self, token: str, proof: Proof) -> None:
        """Remember a token; the oldest goes when there are too many."""
        self._known[token] = proof
        while len(self._known) > MOST_PROOFS:
            self._known.popitem(last=False)


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
    app.extensions["token_proofs"] = Proofs()
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


def read(token: str) -> Caller:
    """Tell who sent an access token.

    Raises:
        TokenExpired: its time is over.
        TokenInvalid: it is not a live access token of ours.

    """
    proofs: Proofs = current_app.extensions["token_proofs"]
    try:
        proof = proofs.get(token)
        if proof is None:
            proof = _verify(token)
            proofs.keep(token, proof)
    except ExpiredSignatureError:
        raise TokenExpired from None
    except NoSigningKeyError:
        log.exception("no_signing_key")
        raise SigningKeyMissing from None
    except (PyJWTError, JWTExtendedException, ValueError, TypeError, KeyError, AttributeError):
        raise TokenInvalid from None
    fresh = current_app.extensions["stockroom"].reauthentication_seconds
    caller = service.caller_of(db.session(), user_id=proof.user_id, session_id=proof.session_id, fresh_seconds=fresh)
    if caller is None:
        raise TokenInvalid
    return caller


def ring() -> KeyRing:
    """Find the keys of this installation."""
    found: KeyRing = current_app.extensions["key_ring"]
    return found


def _verify(token: str) -> Proof:
    claims = decode_token(token)
    if claims["exp"] - claims["iat"] > current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds():
        raise KeyError("exp")
    kid = pyjwt.get_unverified_header(token)["kid"]  # verified by now
    return Proof(UUID(claims["sub"]), UUID(claims["sid"]), kid, int(claims["exp"]))


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
