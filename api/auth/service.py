"""Logging in, staying in, logging out."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from api.auth.errors import CredentialsInvalid, RefreshTokenInvalid, RefreshTokenReused
from api.auth.models import AuthSession
from api.auth.repository import SessionRepository
from api.core.caller import Caller
from api.users import service as users

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Login:
    """A login as its owner gets it: the refresh token is `session id.secret`, kept only as a hash."""

    user_id: UUID
    session_id: UUID
    refresh_token: str


def log_in(session: Session, *, email: str, password: str, lifetime: int) -> Login:
    """Open a login that can be refreshed for `lifetime` seconds.

    Raises:
        CredentialsInvalid: whatever is wrong.

    """
    user = users.verify_password(session, email=email, password=password)
    if user is None:
        raise CredentialsInvalid
    sessions, secret = SessionRepository(session), secrets.token_urlsafe(SECRET_BYTES)
    row = AuthSession(user_id=user.id, refresh_hash=_digest(secret), expires_at=sessions.expiry(lifetime))
    sessions.add(row)
    return Login(user.id, row.id, f"{row.id}.{secret}")


def refresh(session: Session, *, token: str) -> Login:
    """Exchange a refresh token for its successor.

    Raises:
        RefreshTokenInvalid: it is unknown or its login has ended.
        RefreshTokenReused: it was exchanged before; the login has been ended.

    """
    session_id, secret = _split(token)
    sessions, successor = SessionRepository(session), secrets.token_urlsafe(SECRET_BYTES)
    user_id = sessions.rotate(session_id, old=_digest(secret), new=_digest(successor))
    if user_id is None:
        if sessions.was_exchanged(session_id, digest=_digest(secret)):
            _end_for_good(session, session_id)
            raise RefreshTokenReused
        raise RefreshTokenInvalid
    if caller_of(session, user_id=user_id, session_id=session_id) is None:
        raise RefreshTokenInvalid
    return Login(user_id, session_id, f"{session_id}.{successor}")


def _end_for_good(session: Session, session_id: UUID) -> None:
    """End a login in a transaction of its own, which the refusal that follows does not roll back.

    The caller's transaction ends first: whoever waited for the exchange of the same token holds the row locked.
    """
    session.rollback()
    with Session(session.get_bind()) as own:
        SessionRepository(own).end(session_id)
        own.commit()


def log_out(session: Session, *, by: Caller) -> None:
    """End the caller's login; its access and refresh tokens are refused from the next request on."""
    if by.session_id is not None:
        SessionRepository(session).end(by.session_id)


def caller_of(session: Session, *, user_id: UUID, session_id: UUID) -> Caller | None:
    """Tell who a live login belongs to and what its user may do now; None when login or user have ended."""
    row = SessionRepository(session).live_caller(user_id=user_id, session_id=session_id)
    if row is None:
        return None
    return Caller(user_id=row.id, role=row.role, scopes=users.scopes_of(row.role), session_id=session_id)


def _split(token: str) -> tuple[UUID, str]:
    identifier, _, secret = token.partition(".")
    try:
        return UUID(identifier), secret
    except ValueError:
        raise RefreshTokenInvalid from None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
