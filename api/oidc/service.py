"""Accounts of those whom an identity provider vouches for: opened at first sight, with the role that it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from api.audit import service as audit
from api.core.apart import apart
from api.core.caller import Caller
from api.core.errors import Conflict
from api.core.scopes import LADDER
from api.oidc.errors import AccountContended, NoRole
from api.oidc.models import Identity
from api.oidc.repository import IdentityRepository
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from sqlalchemy.orm import Session

    type Claims = Mapping[str, Any]

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""The second finds what others did meanwhile; the third, what they did to that."""

EMAIL_LENGTH, NAME_LENGTH = 254, 200
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+", re.ASCII)
"""What the API itself takes as an address; of another kind none is kept."""


@dataclass(frozen=True, slots=True)
class RoleRules:
    """How a token tells a role: the claim, what its values mean here, and the role of those for whom it says nothing.

    Without a default they are refused.
    """

    claim: str
    meanings: Mapping[str, str]
    default: str | None

    def values(self, claims: Claims) -> frozenset[str] | None:
        """List what the claim names; None when the token has no such claim.

        A claim of this very name comes first, for some have dots in theirs (`https://shop.example.com/roles`).
        """
        found: Any = claims
        for part in (self.claim,) if self.claim in claims else self.claim.split("."):
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        if isinstance(found, str):
            return frozenset({found, *found.split()})
        return frozenset(value for value in found if isinstance(value, str)) if isinstance(found, list) else frozenset()

    def role(self, values: frozenset[str]) -> str | None:
        """Tell the highest role that the values stand for, else the default."""
        told = (self.meanings[value] for value in values if value in self.meanings)
        return max(told, key=LADDER.index, default=self.default)


def admit(session: Session, *, issuer: str, claims: Claims, rules: RoleRules, is_fresh: bool) -> Caller | None:
    """Tell who the bearer of verified claims is here; None when the account has been deactivated.

    Whoever comes for the first time gets an account, and whoever comes with another role gets that role: each in a
    transaction of its own, so that it holds whatever becomes of the request. Where the token says nothing about roles,
    or is older than the one that told the present role, an account keeps the one it has.

    Raises:
        NoRole: the token gives none, and there is no default.
        AccountContended: others were quicker, again and again.

    """
    values = rules.values(claims)
    for _ in range(ATTEMPTS):
        account = IdentityRepository(session).account(issuer=issuer, subject=claims["sub"])
        if account is not None and not account.is_active:
            return None
        is_old_news = account is not None and claims["iat"] < account.role_told_at
        keeps_role = account is not None and (values is None or is_old_news)
        role = account.role if account is not None and keeps_role else rules.role(values or frozenset())
        if role is None:
            raise NoRole
        if account is not None and account.role == role:
            return _caller(account.id, role, is_fresh=is_fresh)
        try:
            if account is None:
                _provision(session, issuer=issuer, claims=claims, role=role)
            else:
                _change_role(session, account.id, role=role, told_at=claims["iat"])
        except (IntegrityError, StaleDataError):
            continue
        except Conflict as refusal:
            if account is not None:  # the last administrator: stays one here, and gets no more than the token gives
                log.warning("role_not_changed", user_id=str(account.id), role=role, code=refusal.code)
                return _caller(account.id, role, is_fresh=is_fresh)
    raise AccountContended


def is_vouched_for(session: Session, user_id: UUID) -> bool:
    """Tell whether an account belongs to somebody whom an identity provider vouches for."""
    return IdentityRepository(session).has_any(user_id)


def _provision(session: Session, *, issuer: str, claims: Claims, role: str) -> None:
    with apart(session) as own:
        email, by = _free_email(own, claims), Caller.system()
        user = users.create(own, email=email, name=_name(claims), role=role, by=by, is_verified=email is not None)
        IdentityRepository(own).add(
            Identity(issuer=issuer, subject=claims["sub"], user_id=user.id, role_told_at=int(claims["iat"]))
        )
        audit.record(
            own, "identity.provisioned", by=by, subject_id=user.id, issuer=issuer, subject=claims["sub"], role=role
        )


def _change_role(session: Session, user_id: UUID, *, role: str, told_at: float) -> None:
    with apart(session) as own:
        IdentityRepository(own).note_role(user_id, told_at=int(told_at))
        users.update(own, users.get(own, user_id), {"role": role}, by=Caller.system())


def _caller(user_id: UUID, role: str, *, is_fresh: bool) -> Caller:
    return Caller(user_id=user_id, role=role, scopes=users.scopes_of(role), is_fresh=is_fresh)


def _free_email(session: Session, claims: Claims) -> str | None:
    """Find the address to keep: one that the provider has verified, and that no other account has."""
    told = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(told, str):
        return None
    email = users.canonical_email(told)
    is_usable = len(email) <= EMAIL_LENGTH and _EMAIL.fullmatch(email) and users.find(session, email) is None
    return email if is_usable else None


def _name(claims: Claims) -> str:
    """Find something to call a person; the subject, which is always there, comes last."""
    for claim in ("name", "preferred_username", "sub"):
        told = claims.get(claim)
        if isinstance(told, str):
            name = "".join(character for character in told if character.isprintable()).strip()[:NAME_LENGTH].rstrip()
            if name:
                return name
    return "?"
