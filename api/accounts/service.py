"""Opening an account and looking after it: whoever reads a mail proves that the address is theirs.

What strangers ask for is only written down and answered in the background (`answer_…`), so that nobody can tell from
the answer, or from how long it takes, whether an address has an account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.accounts.addresses import answer_email_change, change_email, own_address, send_verification, verify_email
from api.accounts.opening import answer_sign_up, confirm, invite, sign_up
from api.accounts.passwords import (
    address_of_password,
    answer_forgotten_password,
    change_password,
    check_password,
    forget_password,
    issue_reset,
    replace_password,
    reset_password,
)
from api.accounts.repository import TicketRepository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = [
    "address_of_password",
    "answer_email_change",
    "answer_forgotten_password",
    "answer_sign_up",
    "change_email",
    "change_password",
    "check_password",
    "confirm",
    "forget_password",
    "forget_tickets",
    "invite",
    "issue_reset",
    "own_address",
    "replace_password",
    "reset_password",
    "send_verification",
    "sign_up",
    "verify_email",
]

KEPT_DAYS = 30
"""How long tickets are kept after they expire."""


def forget_tickets(session: Session) -> None:
    """Delete tickets that expired long ago."""
    TicketRepository(session).forget(days=KEPT_DAYS)
