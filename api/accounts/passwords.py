"""Passwords: forgotten, changed, and replaced by an operator."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from api.accounts import tickets
from api.accounts.errors import AccountInactive, NoPassword, PasswordWrong, ResetTokenInvalid
from api.accounts.repository import TicketRepository
from api.audit import service as audit
from api.auth import service as auth
from api.core.errors import RuleViolation
from api.jobs import service as jobs
from api.mail import service as mail
from api.oidc import service as oidc
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.vault import Vault


def forget_password(session: Session, *, email: str, may_mail: bool, by: Caller) -> None:
    """Ask for a new password; a mail says how to go on."""
    audit.record(session, "password.reset_requested", by=by, email=email)
    if may_mail:
        jobs.defer(session, "answer_forgotten_password", email=email)


def answer_forgotten_password(session: Session, *, email: str, seconds: int) -> None:
    """Send the owner of an active account the token that sets a new password; earlier ones are good no more.

    Accounts of an identity provider get none: who leaves there must not stay here.
    """
    user = users.find(session, email)
    if user is None or not user.is_active or oidc.is_vouched_for(session, user.id):
        return
    TicketRepository(session).void(tickets.RESET, user_id=user.id)
    tickets.post(session, tickets.add(session, tickets.RESET, email=email, user_id=user.id, seconds=seconds))


def reset_password(session: Session, *, token: str, password: str, vault: Vault, by: Caller) -> str:
    """Set a new password for whoever has read the mail at an address, and tell that address.

    All logins end; a second factor stays on.

    Raises:
        ResetTokenInvalid: the token is not good.
        PasswordTooWeak: the password would be guessed; the token stays good.

    """
    ticket = tickets.use(session, token, tickets.RESET, vault=vault)
    user = None if ticket is None or ticket.user_id is None else users.get(session, ticket.user_id)
    if ticket is None or user is None or not user.is_active or user.email != ticket.email:
        tickets.record_refusal(session, ticket, "password", by=by)
        raise ResetTokenInvalid
    users.set_password(session, user, password=password, by=by)
    if user.email_verified_at is None:
        users.set_email(session, user, email=ticket.email, by=by)
    auth.end_all(session, user.id, by=by, reason="password reset")
    _after_new_password(session, user.id, email=user.email)
    return ticket.email


def issue_reset(session: Session, *, email: str, seconds: int, vault: Vault, by: Caller) -> str:
    """Make a token that sets a new password, for an operator to hand over; ends all logins.

    Raises:
        AddressUnknown, AccountInactive: there is no account with the address, or it is closed.

    """
    user_id = _active_account(session, email)
    TicketRepository(session).void(tickets.RESET, user_id=user_id)
    ticket = tickets.add(session, tickets.RESET, email=email, user_id=user_id, seconds=seconds)
    auth.end_all(session, user_id, by=by, reason="password reset by an operator")
    audit.record(session, "password.reset_issued", by=by, subject_id=user_id)
    return mail.token(vault, purpose=tickets.RESET, ticket_id=ticket.id)


def replace_password(session: Session, *, email: str, password: str, by: Caller) -> None:
    """Set somebody's password, as an operator; ends all logins.

    Raises:
        AddressUnknown, AccountInactive: there is no account with the address, or it is closed.
        PasswordTooWeak: the password would be guessed.

    """
    user_id = _active_account(session, email)
    users.set_password(session, users.get(session, user_id), password=password, by=by)
    auth.end_all(session, user_id, by=by, reason="password reset by an operator")
    _after_new_password(session, user_id, email=email)


def address_of_password(session: Session, *, by: Caller) -> str:
    """Tell the address that goes with the caller's password.

    Raises:
        NoPassword: the account is entered by other means.

    """
    user = users.get(session, by.own_id)
    if user.password_hash is None or user.email is None:
        raise NoPassword
    return user.email


def check_password(session: Session, *, password: str, by: Caller) -> None:
    """Refuse a password that is not the caller's.

    Raises:
        NoPassword: the account is entered by other means.
        PasswordWrong: it is another one.

    """
    email = address_of_password(session, by=by)
    if users.verify_password(session, email=email, password=password) is None:
        audit.record_refusal(session, "password.refused", by=by, subject_id=by.own_id)
        raise PasswordWrong


def change_password(session: Session, *, password: str, by: Caller) -> None:
    """Change the caller's password, once the present one has been checked; ends all other logins.

    Raises:
        PasswordTooWeak: the password would be guessed.

    """
    user = users.get(session, by.own_id)
    with _about("new_password"):
        users.set_password(session, user, password=password, by=by)
    auth.end_all(session, user.id, by=by, reason="password changed", but=by.session_id)
    _after_new_password(session, user.id, email=user.email)


def _active_account(session: Session, email: str) -> UUID:
    user = users.named(session, email)
    if not user.is_active:
        raise AccountInactive
    return user.id


def _after_new_password(session: Session, user_id: UUID, *, email: str | None) -> None:
    """Void whatever lies in a mailbox that somebody else may have read, and tell the owner."""
    TicketRepository(session).void(user_id=user_id)
    if email is not None:
        mail.send(session, "password_changed", to=email)


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Let a rule that is broken point at the field of this request."""
    try:
        yield
    except RuleViolation as error:
        error.problem = replace(error.problem, field=field)
        error.problems = (error.problem,)
        raise
