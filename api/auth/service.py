"""Logging in, staying in, logging out."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from api.audit import service as audit
from api.auth.errors import (
    CredentialsInvalid,
    NotALogin,
    OtpInvalid,
    OtpRequired,
    PasswordWrong,
    RefreshTokenInvalid,
    RefreshTokenReused,
    SessionNotFound,
)
from api.auth.models import AuthSession
from api.auth.repository import SessionRepository
from api.core.apart import apart
from api.core.caller import Caller
from api.core.networks import network_of
from api.second_factor import service as second_factor
from api.users import service as users

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.core.paging import Listing
    from api.core.vault import Vault

SEED_BYTES = 32
_REFRESH_TOKEN = re.compile(
    r"(?P<session>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?P<generation>[1-9][0-9]{0,8})\.(?P<secret>[\w-]{43})",
    re.ASCII,
)
REFRESH = "refresh"
"""The purpose of refresh tokens, in the words of the vault."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long logins last, in seconds: in all, without being refreshed, and how long a lost answer is repeated."""

    whole: int
    idle: int
    grace: int


@dataclass(frozen=True, slots=True)
class Login:
    """A login as its owner gets it: the refresh token is `session id.generation.secret`."""

    user_id: UUID
    session_id: UUID
    refresh_token: str = field(repr=False)


def log_in(
    session: Session,
    *,
    email: str,
    password: str,
    lifetimes: Lifetimes,
    vault: Vault,
    by: Caller,
    otp: str | None = None,
) -> Login:
    """Open a login.

    Raises:
        CredentialsInvalid: address or password is wrong, or the account is closed.
        OtpRequired, OtpInvalid: they are right, and the second factor is missing or wrong.

    """
    user_id = _check_credentials(session, email=email, password=password, otp=otp, vault=vault, by=by)
    return open_session(session, user_id, lifetimes=lifetimes, vault=vault, by=by)


def open_session(session: Session, user_id: UUID, *, lifetimes: Lifetimes, vault: Vault, by: Caller) -> Login:
    """Open a login for somebody whose credentials have been checked."""
    sessions, seed = SessionRepository(session), secrets.token_bytes(SEED_BYTES)
    row = sessions.add(
        AuthSession(
            user_id=user_id,
            refresh_seed=seed,
            expires_at=sessions.expiry(lifetimes.whole),
            address=by.address,
            network=None if by.address is None else network_of(by.address),
            agent=by.agent,
        )
    )
    audit.record(session, "login.succeeded", by=by, actor_id=user_id, subject_id=row.id)
    return Login(user_id, row.id, _token(vault, row.id, 1, seed))


def reauthenticate(
    session: Session, *, email: str | None, password: str, vault: Vault, by: Caller, otp: str | None = None
) -> None:
    """Confirm that the owner of a login is still the one who sits there, before something sensitive.

    Raises:
        NotALogin: the caller has no login of this installation, as an API key has none.
        PasswordWrong: the password is another one.
        OtpRequired, OtpInvalid: as for `log_in`.

    """
    session_id, email = login_of(by, email=email)
    try:
        _check_credentials(session, email=email, password=password, otp=otp, vault=vault, by=by)
    except CredentialsInvalid:  # the caller is known: 401 would tell clients that their token is over
        raise PasswordWrong from None
    SessionRepository(session).confirm(session_id)
    audit.record(session, "login.confirmed", by=by, subject_id=session_id)


def login_of(by: Caller, *, email: str | None) -> tuple[UUID, str]:
    """Tell the caller's login and the address that goes with its password.

    Raises:
        NotALogin: there is none, as for those who come from an identity provider.

    """
    if by.session_id is None or email is None:
        raise NotALogin
    return by.session_id, email


def refresh(session: Session, *, token: str, lifetimes: Lifetimes, vault: Vault, by: Caller) -> Login:
    """Exchange a refresh token for its successor; within the grace, the same one for the same token.

    Raises:
        RefreshTokenInvalid: it is unknown or its login has ended.
        RefreshTokenReused: it was exchanged before; the login has been ended.

    """
    session_id, generation, secret = _split(token)
    sessions = SessionRepository(session)
    seed = sessions.seed(session_id)
    if seed is None or not vault.is_token(secret, REFRESH, session_id, generation, seed.hex()):
        raise RefreshTokenInvalid
    row = sessions.advance(
        session_id, generation=generation, grace_seconds=lifetimes.grace, idle_seconds=lifetimes.idle
    )
    if row is None:
        if not sessions.was_exchanged(session_id, generation=generation):
            raise RefreshTokenInvalid
        with apart(session) as own:
            SessionRepository(own).end(session_id=session_id, reason="reused")
            audit.record(own, "refresh.reused", by=by, subject_id=session_id, outcome=audit.REFUSED)
        raise RefreshTokenReused
    if sessions.live_caller(user_id=row.user_id, session_id=session_id, fresh_seconds=0) is None:
        raise RefreshTokenInvalid
    return Login(row.user_id, session_id, _token(vault, session_id, row.generation, seed))


def log_out(session: Session, *, by: Caller) -> None:
    """End the caller's login; its access and refresh tokens are refused from the next request on."""
    if by.session_id is not None:
        SessionRepository(session).end(session_id=by.session_id, reason="logged out")
        audit.record(session, "login.ended", by=by, subject_id=by.session_id)


def end(session: Session, session_id: UUID, *, by: Caller) -> None:
    """End one login: one's own, or with `sessions:all` anybody's.

    Raises:
        SessionNotFound: none is live, or it is somebody else's.

    """
    sessions = SessionRepository(session)
    owner = sessions.live_owner(session_id)
    if owner is None or not _may_touch(owner, by=by):
        raise SessionNotFound
    sessions.end(session_id=session_id, reason="ended by its owner" if owner == by.user_id else "ended by an admin")
    audit.record(session, "login.ended", by=by, subject_id=session_id, user_id=str(owner))


def end_all(session: Session, user_id: UUID, *, by: Caller, reason: str, but: UUID | None = None) -> int:
    """End every login of a user, but one perhaps; tells how many. Whoever calls knows that `by` may."""
    ended = SessionRepository(session).end(user_id=user_id, but=but, reason=reason)
    if ended:
        audit.record(session, "logins.ended", by=by, subject_id=user_id, number=len(ended), reason=reason)
    return len(ended)


def listing(session: Session, *, user_id: UUID | None, by: Caller) -> Listing:
    """List live logins, those of `user_id` or all: of one's own, or with `sessions:all` of everybody's."""
    return SessionRepository(session).listing(user_id, owner=None if by.may("sessions:all") else by.own_id)


def has_come_from(session: Session, *, email: str, network: str) -> bool:
    """Tell whether an account is known to log in from a network, as `192.0.2.7` or `2001:db8::/64`."""
    return SessionRepository(session).has_come_from(email=email, network=network)


def caller_of(session: Session, *, user_id: UUID, session_id: UUID, fresh_seconds: int) -> Caller | None:
    """Tell who a live login belongs to and what its user may do now; None when login or user have ended."""
    row = SessionRepository(session).live_caller(user_id=user_id, session_id=session_id, fresh_seconds=fresh_seconds)
    if row is None:
        return None
    scopes = users.scopes_of(row.role)
    return Caller(user_id=row.id, role=row.role, scopes=scopes, session_id=session_id, is_fresh=row.is_fresh)


def _check_credentials(
    session: Session, *, email: str, password: str, otp: str | None, vault: Vault, by: Caller
) -> UUID:
    user = users.verify_password(session, email=email, password=password)
    if user is None:
        known = users.find(session, email)
        audit.record_refusal(
            session, "login.refused", by=by, subject_id=known.id if known else None, email=email, reason="credentials"
        )
        raise CredentialsInvalid
    user_id = user.id
    if second_factor.is_on(session, user_id):
        if otp is None:
            raise OtpRequired
        if not second_factor.verify(session, user_id, otp=otp, vault=vault, by=by):
            audit.record_refusal(session, "login.refused", by=by, subject_id=user_id, email=email, reason="otp")
            raise OtpInvalid
    return user_id


def _may_touch(owner: UUID, *, by: Caller) -> bool:
    return owner == by.user_id or by.may("sessions:all")


def _token(vault: Vault, session_id: UUID, generation: int, seed: bytes) -> str:
    return f"{session_id}.{generation}.{vault.token(REFRESH, session_id, generation, seed.hex())}"


def _split(token: str) -> tuple[UUID, int, str]:
    match = _REFRESH_TOKEN.fullmatch(token)
    if match is None:
        raise RefreshTokenInvalid
    return UUID(match["session"]), int(match["generation"]), match["secret"]
