"""Addresses: changed and verified by a mail that its owner has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.accounts import tickets
from api.accounts.errors import ConfirmationTokenInvalid, NoAddress
from api.accounts.repository import TicketRepository
from api.audit import service as audit
from api.jobs import service as jobs
from api.mail import service as mail
from api.users import service as users

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.vault import Vault

ADDRESS_SECONDS = 86_400
"""Life of a ticket that proves an address."""


def change_email(session: Session, *, email: str, may_mail: bool, by: Caller) -> None:
    """Ask for another address; it counts once somebody has read a mail that is sent there.

    The ticket is made here and not in the background, so that a new password meanwhile voids it.
    """
    audit.record(session, "email.change_requested", by=by, subject_id=by.own_id, email=email)
    if may_mail:
        TicketRepository(session).void(tickets.EMAIL_CHANGE, user_id=by.own_id)
        ticket = tickets.add(session, tickets.EMAIL_CHANGE, email=email, user_id=by.own_id, seconds=ADDRESS_SECONDS)
        jobs.defer(session, "answer_email_change", ticket_id=str(ticket.id))


def answer_email_change(session: Session, *, ticket_id: UUID) -> None:
    """Send the new address its token, or word that it has an account, and the present address a notice."""
    ticket = TicketRepository(session).get(ticket_id)
    if ticket is None or ticket.user_id is None or ticket.used_at is not None:
        return
    if users.find(session, ticket.email) is not None:
        mail.send(session, "account_exists", to=ticket.email)
    else:
        tickets.post(session, ticket)
    present = users.get(session, ticket.user_id).email
    if present is not None:
        mail.send(session, "email_change_notice", to=present, new_address=ticket.email)


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
        tickets.post(
            session,
            tickets.add(session, tickets.EMAIL_VERIFICATION, email=email, user_id=by.own_id, seconds=ADDRESS_SECONDS),
        )


def verify_email(session: Session, *, token: str, vault: Vault, by: Caller) -> None:
    """Note that an address is read by the account's owner; if it is a new one, use it from now on.

    Raises:
        ConfirmationTokenInvalid: the token is not good.
        EmailTaken: the address has got an account meanwhile.

    """
    ticket = tickets.use(session, token, tickets.EMAIL_CHANGE, tickets.EMAIL_VERIFICATION, vault=vault)
    user = None if ticket is None or ticket.user_id is None else users.get(session, ticket.user_id)
    is_other = ticket is not None and user is not None and user.email != ticket.email
    if (
        ticket is None
        or user is None
        or not user.is_active
        or (is_other and ticket.purpose == tickets.EMAIL_VERIFICATION)
    ):
        tickets.record_refusal(session, ticket, "email", by=by)
        raise ConfirmationTokenInvalid
    users.set_email(session, user, email=ticket.email, by=by)
    TicketRepository(session).void(user_id=user.id)  # also those that lie in the mailbox of the address before
