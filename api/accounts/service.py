"""Opening an account and looking after it: whoever reads a mail proves that the address is theirs.

What strangers ask for is only written down and answered in the background (`answer_…`), so that nobody can tell from
the answer, or from how long it takes, whether an address has an account.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from api.accounts.errors import (
    AddressTaken,
    AddressUnknown,
    ConfirmationTokenInvalid,
    NoAddress,
    NoPassword,
    PasswordWrong,
    ResetTokenInvalid,
    SignUpClosed,
)
from api.accounts.models import AccountTicket
from api.accounts.repository import TicketRepository
from api.audit import service as audit
from api.auth import service as auth
from api.core.caller import Caller
from api.core.errors import NotFound, RuleViolation
from api.jobs import service as jobs
from api.mail import service as mail
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from api.core.vault import Vault

SIGN_UP, INVITATION, RESET = "sign_up", "invitation", "password_reset"
EMAIL_CHANGE, EMAIL_VERIFICATION = "email_change", "email_verification"
ADDRESS_SECONDS = 86_400
"""Life of a ticket that proves an address."""

KEPT_DAYS = 30
"""How long tickets are kept after they expire."""

_TOKEN = re.compile(r"(?P<id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?P<secret>[\w-]{43})", re.ASCII)


def sign_up(session: Session, *, email: str, name: str, policy: str, may_mail: bool, by: Caller) -> None:
    """Ask for an account as a customer; a mail says how to go on.

    Raises:
        SignUpClosed: strangers cannot open accounts here.

    """
    _check_policy(SIGN_UP, policy)
    audit.record(session, "sign_up.requested", by=by, email=email)
    if may_mail:
        jobs.defer(session, "answer_sign_up", email=email, name=name)


def answer_sign_up(session: Session, *, email: str, name: str, seconds: int) -> None:
    """Send whoever reads an address the token that opens an account, or word that there is one."""
    if users.find(session, email) is not None:
        mail.send(session, "account_exists", to=email)
        return
    _post(session, _add(session, SIGN_UP, email=email, name=name, role="customer", seconds=seconds))


def invite(
    session: Session, *, email: str, role: str, name: str | None, policy: str, seconds: int, by: Caller
) -> AccountTicket:
    """Send somebody the token that opens an account with a role; earlier invitations are good no more.

    Raises:
        SignUpClosed: nobody can open an account here.
        RoleNotYours: the role is above the caller's.
        AddressTaken: the address has an account.

    """
    _check_policy(INVITATION, policy)
    users.check_grant(role, by=by)
    if users.find(session, email) is not None:
        raise AddressTaken
    TicketRepository(session).void(INVITATION, email=email)
    inviter = None if by.user_id is None else users.get(session, by.user_id).name
    ticket = _add(session, INVITATION, email=email, name=name, role=role, invited_by=by.user_id, seconds=seconds)
    _post(session, ticket, role=role, inviter=inviter)
    audit.record(session, "user.invited", by=by, subject_id=ticket.id, email=email, role=role)
    return ticket


def confirm(
    session: Session, *, token: str, password: str, name: str | None, policy: str, vault: Vault, by: Caller
) -> UUID:
    """Open the account of a sign-up or an invitation, with a password that only the reader of the mail knows.

    Raises:
        ConfirmationTokenInvalid: the token is not good, or whoever invited may not any more.
        SignUpClosed: accounts are not opened in this way any more.
        PasswordTooWeak: the password would be guessed; the token stays good.
        EmailTaken: the address has got an account meanwhile.

    """
    ticket = _use(session, token, SIGN_UP, INVITATION, vault=vault)
    grantor = None if ticket is None else _grantor(session, ticket, by=by)
    if ticket is None or grantor is None:
        _record_refusal(session, ticket, "account", by=by)
        raise ConfirmationTokenInvalid
    _check_policy(ticket.purpose, policy)
    user = users.create(
        session,
        email=ticket.email,
        name=name or ticket.name or ticket.email.partition("@")[0],
        role=ticket.role or "customer",
        password=password,
        is_verified=True,
        by=grantor,
    )
    TicketRepository(session).void(SIGN_UP, INVITATION, email=ticket.email)
    audit.record(session, "account.confirmed", by=by, actor_id=user.id, subject_id=user.id, purpose=ticket.purpose)
    return user.id


def forget_password(session: Session, *, email: str, may_mail: bool, by: Caller) -> None:
    """Ask for a new password; a mail says how to go on."""
    audit.record(session, "password.reset_requested", by=by, email=email)
    if may_mail:
        jobs.defer(session, "answer_forgotten_password", email=email)


def answer_forgotten_password(session: Session, *, email: str, seconds: int) -> None:
    """Send the owner of an active account the token that sets a new password; earlier ones are good no more."""
    user = users.find(session, email)
    if user is None or not user.is_active:
        return
    TicketRepository(session).void(RESET, user_id=user.id)
    _post(session, _add(session, RESET, email=email, user_id=user.id, seconds=seconds))


def reset_password(session: Session, *, token: str, password: str, vault: Vault, by: Caller) -> None:
    """Set a new password for whoever has read the mail, and end all logins; a second factor stays on.

    Raises:
        ResetTokenInvalid: the token is not good.
        PasswordTooWeak: the password would be guessed; the token stays good.

    """
    ticket = _use(session, token, RESET, vault=vault)
    user = None if ticket is None or ticket.user_id is None else users.get(session, ticket.user_id)
    if ticket is None or user is None or not user.is_active or user.email != ticket.email:
        _record_refusal(session, ticket, "password", by=by)
        raise ResetTokenInvalid
    users.set_password(session, user, password=password, by=by)
    if user.email_verified_at is None:
        users.set_email(session, user, email=ticket.email, by=by)
    auth.end_all(session, user.id, by=by, reason="password reset")
    _after_new_password(session, user.id, email=user.email)


def issue_reset(session: Session, *, email: str, seconds: int, vault: Vault, by: Caller) -> str:
    """Make a token that sets a new password, for an operator to hand over; ends all logins.

    Raises:
        AddressUnknown: no active account has the address.

    """
    user_id = _active_account(session, email)
    TicketRepository(session).void(RESET, user_id=user_id)
    ticket = _add(session, RESET, email=email, user_id=user_id, seconds=seconds)
    auth.end_all(session, user_id, by=by, reason="password reset by an operator")
    audit.record(session, "password.reset_issued", by=by, subject_id=user_id)
    return mail.token(vault, purpose=RESET, ticket_id=ticket.id)


def replace_password(session: Session, *, email: str, password: str, by: Caller) -> None:
    """Set somebody's password, as an operator; ends all logins.

    Raises:
        AddressUnknown: no active account has the address.
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


def change_email(session: Session, *, email: str, may_mail: bool, by: Caller) -> None:
    """Ask for another address; it counts once somebody has read a mail that is sent there."""
    audit.record(session, "email.change_requested", by=by, subject_id=by.own_id, email=email)
    if may_mail:
        jobs.defer(session, "answer_email_change", user_id=str(by.own_id), email=email)


def answer_email_change(session: Session, *, user_id: UUID, email: str) -> None:
    """Send the new address a token, or word that it has an account, and the present address a notice."""
    user = users.get(session, user_id)
    TicketRepository(session).void(EMAIL_CHANGE, user_id=user_id)
    if users.find(session, email) is not None:
        mail.send(session, "account_exists", to=email)
    else:
        _post(session, _add(session, EMAIL_CHANGE, email=email, user_id=user_id, seconds=ADDRESS_SECONDS))
    if user.email is not None:
        mail.send(session, "email_change_notice", to=user.email, new_address=email)


def own_address(session: Session, *, by: Caller) -> str:
    """Tell the caller's address.

    Raises:
        NoAddress: there is none.

    """
    email = users.get(session, by.own_id).email
    if email is None:
        raise NoAddress
    return email


def send_verification(session: Session, *, may_mail: bool, by: Caller) -> None:
    """Send the caller's address a token that proves that it is read.

    Raises:
        NoAddress: there is none.

    """
    email = own_address(session, by=by)
    if may_mail:
        _post(session, _add(session, EMAIL_VERIFICATION, email=email, user_id=by.own_id, seconds=ADDRESS_SECONDS))


def verify_email(session: Session, *, token: str, vault: Vault, by: Caller) -> None:
    """Note that an address is read by the account's owner; if it is a new one, use it from now on.

    Raises:
        ConfirmationTokenInvalid: the token is not good.
        EmailTaken: the address has got an account meanwhile.

    """
    ticket = _use(session, token, EMAIL_CHANGE, EMAIL_VERIFICATION, vault=vault)
    user = None if ticket is None or ticket.user_id is None else users.get(session, ticket.user_id)
    is_other = ticket is not None and user is not None and user.email != ticket.email
    if ticket is None or user is None or not user.is_active or (is_other and ticket.purpose == EMAIL_VERIFICATION):
        _record_refusal(session, ticket, "email", by=by)
        raise ConfirmationTokenInvalid
    users.set_email(session, user, email=ticket.email, by=by)
    TicketRepository(session).void(user_id=user.id)  # also those that lie in the mailbox of the address before


def forget_tickets(session: Session) -> None:
    """Delete tickets that expired long ago."""
    TicketRepository(session).forget(days=KEPT_DAYS)


def _check_policy(purpose: str, policy: str) -> None:
    if policy == "closed" or (purpose == SIGN_UP and policy != "open"):
        raise SignUpClosed


def _grantor(session: Session, ticket: AccountTicket, *, by: Caller) -> Caller | None:
    """Tell by whose right an account gets its role; None when whoever invited has it no more."""
    if ticket.purpose == SIGN_UP:
        return by
    if ticket.invited_by is None:
        return replace(Caller.system(), request_id=by.request_id, address=by.address, agent=by.agent)
    try:
        inviter = users.get(session, ticket.invited_by)
    except NotFound:
        return None
    scopes = users.scopes_of(inviter.role)
    if not inviter.is_active or not {"users:write", *users.scopes_of(ticket.role or "")} <= scopes:
        return None
    return replace(by, user_id=inviter.id, role=inviter.role, scopes=scopes)


def _use(session: Session, token: str, *purposes: str, vault: Vault) -> AccountTicket | None:
    """Use the ticket of a token up, if it is one of ours and good for one of `purposes`."""
    match = _TOKEN.fullmatch(token)
    for purpose in purposes if match else ():
        if match and vault.is_token(match["secret"], purpose, match["id"]):
            return TicketRepository(session).use(UUID(match["id"]), purpose=purpose)
    return None


def _record_refusal(session: Session, ticket: AccountTicket | None, what: str, *, by: Caller) -> None:
    subject_id = None if ticket is None else ticket.user_id
    audit.record_refusal(session, "ticket.refused", by=by, subject_id=subject_id, what=what)


def _add(session: Session, purpose: str, *, seconds: int, **facts: object) -> AccountTicket:
    """Write a ticket."""
    tickets = TicketRepository(session)
    return tickets.add(AccountTicket(purpose=purpose, expires_at=tickets.expiry(seconds), **facts))


def _post(session: Session, ticket: AccountTicket, **facts: object) -> None:
    """Send a ticket to its address."""
    mail.send(
        session,
        ticket.purpose,
        to=ticket.email,
        ticket={"id": str(ticket.id), "purpose": ticket.purpose},
        until=f"{ticket.expires_at:%Y-%m-%d %H:%M} UTC",
        **facts,
    )


def _active_account(session: Session, email: str) -> UUID:
    user = users.find(session, email)
    if user is None or not user.is_active:
        raise AddressUnknown(email=email)
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
