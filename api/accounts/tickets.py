"""Tickets: what a mail lets its reader do, once and for a while."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from api.accounts.models import AccountTicket
from api.accounts.repository import TicketRepository
from api.audit import service as audit
from api.mail import service as mail

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.vault import Vault

SIGN_UP, INVITATION, RESET = "sign_up", "invitation", "password_reset"
EMAIL_CHANGE, EMAIL_VERIFICATION = "email_change", "email_verification"

_TOKEN = re.compile(r"(?P<id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.(?P<secret>[\w-]{43})", re.ASCII)


def add(session: Session, purpose: str, *, seconds: int, **facts: object) -> AccountTicket:
    """Write a ticket."""
    tickets = TicketRepository(session)
    return tickets.add(AccountTicket(purpose=purpose, expires_at=tickets.expiry(seconds), **facts))


def post(session: Session, ticket: AccountTicket, **facts: object) -> None:
    """Send a ticket to its address."""
    mail.send(
        session,
        ticket.purpose,
        to=ticket.email,
        ticket={"id": str(ticket.id), "purpose": ticket.purpose},
        until=f"{ticket.expires_at:%Y-%m-%d %H:%M} UTC",
        **facts,
    )


def use(session: Session, token: str, *purposes: str, vault: Vault) -> AccountTicket | None:
    """Use the ticket of a token up, if it is one of ours and good for one of `purposes`."""
    match = _TOKEN.fullmatch(token)
    for purpose in purposes if match else ():
        if match and vault.is_token(match["secret"], purpose, match["id"]):
            return TicketRepository(session).use(UUID(match["id"]), purpose=purpose)
    return None


def record_refusal(session: Session, ticket: AccountTicket | None, what: str, *, by: Caller) -> None:
    """Write down, although it is refused, that somebody came with a token that is not good."""
    subject_id = None if ticket is None else ticket.user_id
    audit.record_refusal(session, "ticket.refused", by=by, subject_id=subject_id, what=what)
