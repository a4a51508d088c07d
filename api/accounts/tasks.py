"""Answering in the background what strangers ask, so that no answer betrays who has an account."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask import current_app

from api.accounts import service
from api.jobs.app import background, periodic

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@background(retries=5)
def answer_sign_up(session: Session, *, email: str, name: str) -> None:
    """Send the mail that a sign-up leads to."""
    seconds = current_app.extensions["stockroom"].invitation_seconds
    service.answer_sign_up(session, email=email, name=name, seconds=seconds)


@background(retries=5)
def answer_forgotten_password(session: Session, *, email: str) -> None:
    """Send the mail that sets a new password, if there is an account."""
    seconds = current_app.extensions["stockroom"].reset_seconds
    service.answer_forgotten_password(session, email=email, seconds=seconds)


@background(retries=5)
def answer_email_change(session: Session, *, ticket_id: str) -> None:
    """Send the mails that a change of address leads to."""
    service.answer_email_change(session, ticket_id=UUID(ticket_id))


@periodic("23 3 * * *")
def forget_tickets(session: Session) -> None:
    """Delete tickets that expired long ago."""
    service.forget_tickets(session)
