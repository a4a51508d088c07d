"""Accounts: who may come in, and as what."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from api.events import service as events
from api.users import passwords
from api.users.errors import EmailTaken, UserNotFound
from api.users.models import User
from api.users.repository import UserRepository
from api.users.roles import ROLES

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing


def create(session: Session, *, email: str, name: str, password: str, role: str, by: Caller) -> User:
    """Open an account.

    Raises:
        EmailTaken: the address has one.

    """
    users = UserRepository(session)
    if users.by_email(email):
        raise EmailTaken
    user = users.add(User(email=email, name=name, password_hash=passwords.digest(password), role=role))
    events.record(session, "user.created", user.id, {"role": role}, by=by)
    return user


def bootstrap_admin(session: Session, *, email: str, password: str, by: Caller) -> bool:
    """Open the first administrator's account; does nothing and tells False when there is one already."""
    if UserRepository(session).has_admin():
        return False
    create(session, email=canonical_email(email), name="Administrator", password=password, role="admin", by=by)
    return True


def canonical_email(email: str) -> str:
    """Write an address in the one form it is kept and looked up in: NFKC, lower case, trimmed, no trailing dot."""
    return unicodedata.normalize("NFKC", email).casefold().strip().rstrip(".")


def get(session: Session, user_id: UUID) -> User:
    """Find an account.

    Raises:
        UserNotFound: there is none with this id.

    """
    user = UserRepository(session).get(user_id)
    if user is None:
        raise UserNotFound
    return user


def listing(session: Session) -> Listing:
    """List every account."""
    return UserRepository(session).listing()


def verify_password(session: Session, *, email: str, password: str) -> User | None:
    """Tell who has this address and password; takes as long for an unknown address as for a wrong password."""
    user = UserRepository(session).by_email(email)
    if not passwords.matches(password, user.password_hash if user else None):
        return None
    return user if user and user.is_active else None


def scopes_of(role: str) -> frozenset[str]:
    """Tell what a role may do."""
    return ROLES.get(role, frozenset())
