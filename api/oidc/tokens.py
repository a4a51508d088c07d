"""Access tokens of an identity provider, taken as bearer tokens beside our own (RFC 9068, RFC 8725)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import orjson
from jwt import ExpiredSignatureError, PyJWTError
from jwt.utils import base64url_decode

from api.extensions import db
from api.oidc import service
from api.oidc.provider import Provider
from api.rest.caller import Authenticator, TokenExpired, TokenInvalid, register

if TYPE_CHECKING:
    from flask import Flask

    from api.config import Settings
    from api.core.caller import Caller

    type Object = dict[str, Any]

LEEWAY_SECONDS = 30
SUBJECT_LENGTH = 255
REQUIRED_CLAIMS = ["iss", "aud", "exp", "iat", "sub"]
MARKS_OF_OTHER_TOKENS = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events"})
"""What an ID token or a logout token has and an access token has not, whichever `typ` the provider writes on them."""


def init_app(app: Flask, settings: Settings) -> None:
    """Accept tokens of the identity provider, where there is one."""
    if settings.oidc_issuer is not None:
        app.extensions["identity_provider"] = provider = Provider(settings.oidc_issuer)
        tokens = ProviderTokens(settings, provider)
        register(app, Authenticator(recognises=tokens.recognises, read=tokens.read))


class ProviderTokens:
    """Recognises, verifies and reads the tokens of one issuer."""

    def __init__(self, settings: Settings, provider: Provider) -> None:
        """Take the rules from the settings and the keys from the provider."""
        default = settings.oidc_default_role
        self._issuer, self._audience = settings.oidc_issuer, settings.oidc_audience
        self._types = frozenset(kind.lower() for kind in settings.oidc_token_types)
        self._fresh_seconds = settings.reauthentication_seconds
        self._rules = service.RoleRules(
            claim=settings.oidc_role_claim,
            meanings=dict(entry.split("=", 1) for entry in settings.oidc_roles),
            default=None if default == "none" else default,
        )
        self._provider = provider

    def recognises(self, token: str) -> bool:
        """Tell whether a token claims to be the issuer's; nothing about it is verified."""
        try:
            return _peek(token)[1].get("iss") == self._issuer
        except ValueError:
            return False

    def read(self, token: str) -> Caller:
        """Tell who sent a token.

        Raises:
            TokenExpired: its time is over.
            TokenInvalid: it is no good access token for this service, or its account has been deactivated.
            NoRole: it gives no role here.
            ProviderUnavailable: nobody knows yet.

        """
        claims = self.verify(token)
        caller = service.admit(
            db.session(),
            issuer=claims["iss"],
            claims=claims,
            rules=self._rules,
            is_fresh=_is_recent(claims.get("auth_time"), self._fresh_seconds),
        )
        if caller is None:
            raise TokenInvalid
        return caller

    def verify(self, token: str) -> Object:
        """Check everything about a token that can be checked without knowing whose it is; gives its claims.

        Only the `kid` of its header is used to find the key, and never a key or an address that it brings itself.

        Raises:
            TokenExpired, TokenInvalid, ProviderUnavailable: as for `read`.

        """
        try:
            header, unverified = _peek(token)
            self._check_kind(header, unverified)
            key = self._provider.key(header["kid"])
            if key is None:
                raise TokenInvalid
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],  # and never what the header says
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED_CLAIMS},
            )
        except ExpiredSignatureError:
            raise TokenExpired from None
        except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            raise TokenInvalid from None
        if not 0 < len(claims["sub"]) <= SUBJECT_LENGTH or not claims["sub"].isprintable():
            raise TokenInvalid
        return claims

    def _check_kind(self, header: Object, claims: Object) -> None:
        """Refuse what is no access token, before anybody is asked for keys."""
        is_of_a_kind = isinstance(header.get("typ"), str) and header["typ"].lower() in self._types
        is_another = claims.keys() & MARKS_OF_OTHER_TOKENS or claims.get("typ") == "ID"  # Keycloak writes it there, too
        if not is_of_a_kind or is_another or "crit" in header or not isinstance(header.get("kid"), str):
            raise TokenInvalid


def _peek(token: str) -> tuple[Object, Object]:
    """Read header and claims, unverified.

    Raises:
        ValueError: they are not there, or not JSON objects.

    """
    parts = token.split(".", 3)
    if len(parts) != 3:  # noqa: PLR2004  # header, claims, signature
        raise ValueError(token[:20])
    header, claims = (orjson.loads(base64url_decode(part)) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError(token[:20])  # noqa: TRY004  # one way for whoever calls
    return header, claims


def _is_recent(moment: object, seconds: int) -> bool:
    """Tell whether somebody showed credentials to the provider within the last `seconds`; not in the future either."""
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return False
    now = time.time()
    return now - seconds <= moment <= now + LEEWAY_SECONDS
