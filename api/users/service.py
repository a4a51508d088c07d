"""Accounts: who may come in, and as what."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from api.audit import service as audit
from api.core.scopes import ONLY_FOR_PEOPLE, ROLES
from api.events import service as events
from api.mail import service as mail
from api.users import passwords
from api.users.errors import AddressUnknown, EmailTaken, LastAdmin, OwnAccount, RoleNotYours, UserNotFound
from api.users.models import User
from api.users.repository import UserRepository

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing


class UserChanges(TypedDict, total=False):
    """What can be changed about an account."""

    name: str
    role: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """An account as its owner sees it."""

    id: UUID
    email: str | None
    name: str
    role: str
    is_active: bool
    version: int
    created_at: datetime
    email_verified_at: datetime | None
    password_changed_at: datetime | None
    scopes: list[str]


def create(
    session: Session,
    *,
    email: str | None,
    name: str,
    role: str,
    by: Caller,
    password: str | None = None,
    is_verified: bool = False,
) -> User:
    """Open an account. Without a password it is entered by other means: an identity provider, or a reset.

    Raises:
        EmailTaken: the address has one.
        PasswordTooWeak: the password would be guessed.
        RoleNotYours: the role is above the caller's.

    """
    check_grant(role, by=by)
    if password is not None:
        passwords.check(password, known=(email, name))
    users = UserRepository(session)
    if email is not None and users.by_email(email):  # names the culprit; the unique constraint settles races
        raise EmailTaken
    now = users.now()
    user = users.add(
        User(
            email=email,
            name=name,
            password_hash=None if password is None else passwords.digest(password),
            role=role,
            email_verified_at=now if is_verified else None,
            password_changed_at=None if password is None else now,
        )
    )
    events.record(session, "user.created", user.id, {"role": role}, by=by)
    audit.record(session, "user.created", by=by, subject_id=user.id, role=role)
    return user


def bootstrap_admin(session: Session, *, email: str, password: str, by: Caller) -> bool:
    """Open the first administrator's account; does nothing and tells False when there is one already.

    Raises:
        PasswordTooWeak: the password would be guessed.

    """
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


def exists(session: Session, user_id: UUID) -> bool:
    """Tell whether there is such an account."""
    return UserRepository(session).get(user_id) is not None


def profile(session: Session, *, by: Caller) -> Profile:
    """Tell callers who they are and what they may do."""
    user = get(session, by.own_id)
    return Profile(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        is_active=user.is_active,
        version=user.version,
        created_at=user.created_at,
        email_verified_at=user.email_verified_at,
        password_changed_at=user.password_changed_at,
        scopes=sorted(by.scopes),
    )


def notify(session: Session, user_id: UUID, *, what: str) -> None:
    """Tell the owner of an account by mail what has happened to it; who has no address is not told."""
    email = get(session, user_id).email
    if email is not None:
        mail.send(session, "security_notice", to=email, what=what)


def find(session: Session, email: str) -> User | None:
    """Find the account with an address, if there is one."""
    return UserRepository(session).by_email(canonical_email(email))


def named(session: Session, email: str) -> User:
    """Find the account an operator names by its address.

    Raises:
        AddressUnknown: there is none.

    """
    user = find(session, email)
    if user is None:
        raise AddressUnknown(email=email)
    return user


def listing(
    session: Session, *, role: str | None = None, is_active: bool | None = None, email: str | None = None
) -> Listing:
    """List accounts in the order they were opened."""
    return UserRepository(session).listing(role=role, is_active=is_active, email=email)


def update(session: Session, user: User, changes: UserChanges, *, by: Caller) -> None:
    """Change an account. What it may do changes at its next request.

    Raises:
        RoleNotYours: the account, or the role it would get, is above the caller's.
        OwnAccount: somebody who is no administrator changes their own role, or deactivates themselves.
        LastAdmin: nobody could administer the installation afterwards.

    """
    before: UserChanges = {"name": user.name, "role": user.role, "is_active": user.is_active}
    changed = {name: value for name, value in changes.items() if value != before[name]}  # type: ignore[literal-required]  # the same names
    if not changed:
        return
    check_grant(user.role, by=by)
    check_grant(changes.get("role", user.role), by=by)
    if changed.keys() & {"role", "is_active"}:
        if user.id == by.user_id and by.role != "admin":
            raise OwnAccount
        _keep_an_admin(session, user, changes)
    for name, value in changed.items():
        setattr(user, name, value)
    UserRepository(session).save(user, is_closed=changed.get("is_active") is False)
    events.record(session, "user.updated", user.id, {"changed": sorted(changed)}, by=by)
    was = {name: before[name] for name in changed}  # type: ignore[literal-required]  # the same names
    audit.record(session, "user.updated", by=by, subject_id=user.id, before=was, after=changed)


def check_grant(role: str, *, by: Caller) -> None:
    """Refuse to give a role, or to touch an account that has it, to whoever holds less.

    What counts is what the caller holds, which for an API key may be less than what its owner does. Strangers give
    themselves the least there is, at a sign-up.

    Raises:
        RoleNotYours: the role has scopes that the caller has not.

    """
    held = ROLES["customer"] if by.role == "stranger" else by.scopes | ONLY_FOR_PEOPLE
    if not scopes_of(role) <= held:
        raise RoleNotYours(role=role)


def set_password(session: Session, user: User, *, password: str, by: Caller) -> None:
    """Give an account a new password.

    Raises:
        PasswordTooWeak: the password would be guessed.

    """
    passwords.check(password, known=(user.email, user.name))
    user.password_hash, user.password_changed_at = passwords.digest(password), UserRepository(session).now()
    session.flush()
    audit.record(session, "password.changed", by=by, actor_id=by.user_id or user.id, subject_id=user.id)


def set_email(session: Session, user: User, *, email: str, by: Caller) -> None:
    """Give an account an address that its owner has proven to read.

    Raises:
        EmailTaken: another account has it.

    """
    users = UserRepository(session)
    holder = users.by_email(email)
    if holder is not None and holder.id != user.id:
        raise EmailTaken
    before, user.email, user.email_verified_at = user.email, email, users.now()
    session.flush()
    audit.record(
        session,
        "email.changed" if before != email else "email.verified",
        by=by,
        actor_id=by.user_id or user.id,
        subject_id=user.id,
        before=before,
        after=email,
    )


def verify_password(session: Session, *, email: str, password: str) -> User | None:
    """Tell who has this address and password; takes as long for an unknown address as for a wrong password.

    A hash made with other parameters than today's is renewed on the way.
    """
    users = UserRepository(session)
    user = users.by_email(email)
    is_right, renewed = passwords.verify(password, user.password_hash if user else None)
    if user is None or not is_right or not users.holds_still(user):
        return None
    if renewed is not None:
        user.password_hash = renewed
    return user


def scopes_of(role: str) -> frozenset[str]:
    """Tell what a role may do."""
    return ROLES.get(role, frozenset())


def _keep_an_admin(session: Session, user: User, changes: UserChanges) -> None:
    stays = changes.get("role", user.role) == "admin" and changes.get("is_active", user.is_active)
    if not stays and UserRepository(session).lock_admins() == {user.id}:
        raise LastAdmin
