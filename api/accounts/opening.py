"""Opening accounts: by whoever wants one, where that is allowed, or by invitation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from api.accounts import tickets
from api.accounts.errors import AddressTaken, ConfirmationTokenInvalid, SignUpClosed
from api.accounts.repository import TicketRepository
from api.audit import service as audit
from api.core.caller import Caller
from api.core.errors import NotFound
from api.jobs import service as jobs
from api.mail import service as mail
from api.users import service as users

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.accounts.models import AccountTicket
    from api.core.vault import Vault


def sign_up(session: Session, *, email: str, name: str, policy: str, may_mail: bool, by: Caller) -> None:
    """Ask for an account as a customer; a mail says how to go on.

    Raises:
        SignUpClosed: strangers cannot open accounts here.

    """
    _check_policy(tickets.SIGN_UP, policy)
    audit.record(session, "sign_up.requested", by=by, email=email)
    if may_mail:
        jobs.defer(session, "answer_sign_up", email=email, name=name)


def answer_sign_up(session: Session, *, email: str, name: str, seconds: int) -> None:
    """Send whoever reads an address the token that opens an account, or word that there is one."""
    if users.find(session, email) is not None:
        mail.send(session, "account_exists", to=email)
        return
    tickets.post(
        session, tickets.add(session, tickets.SIGN_UP, email=email, name=name, role="customer", seconds=seconds)
    )


def invite(
    session: Session, *, email: str, role: str, name: str | None, policy: str, seconds: int, by: Caller
) -> AccountTicket:
    """Send somebody the token that opens an account with a role; earlier invitations are good no more.

    Raises:
        SignUpClosed: nobody can open an account here.
        RoleNotYours: the role is above the caller's.
        AddressTaken: the address has an account.

    """
    _check_policy(tickets.INVITATION, policy)
    users.check_grant(role, by=by)
    if users.find(session, email) is not None:
        raise AddressTaken
    TicketRepository(session).void(tickets.INVITATION, email=email)
    inviter = None if by.user_id is None else users.get(session, by.user_id).name
    ticket = tickets.add(
        session, tickets.INVITATION, email=email, name=name, role=role, invited_by=by.user_id, seconds=seconds
    )
    tickets.post(session, ticket, role=role, inviter=inviter)
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
    ticket = tickets.use(session, token, tickets.SIGN_UP, tickets.INVITATION, vault=vault)
    grantor = None if ticket is None else _grantor(session, ticket, by=by)
    if ticket is None or grantor is None:
        tickets.record_refusal(session, ticket, "account", by=by)
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
    TicketRepository(session).void(tickets.SIGN_UP, tickets.INVITATION, email=ticket.email)
    audit.record(session, "account.confirmed", by=by, actor_id=user.id, subject_id=user.id, purpose=ticket.purpose)
    return user.id


def _check_policy(purpose: str, policy: str) -> None:
    if policy == "closed" or (purpose == tickets.SIGN_UP and policy != "open"):
        raise SignUpClosed


def _grantor(session: Session, ticket: AccountTicket, *, by: Caller) -> Caller | None:
    """Tell by whose right an account gets its role; None when whoever invited has it no more."""
    if ticket.purpose == tickets.SIGN_UP:
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
