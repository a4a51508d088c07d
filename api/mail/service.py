"""Mails: asked for in the transaction of their cause, sent by the worker after it has committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.jobs import service as jobs

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.vault import Vault


def send(session: Session, template: str, *, to: str, **facts: object) -> None:
    """Have the worker send the mail `templates/TEMPLATE` soon after the present transaction commits.

    `facts` fill the template. They must be representable in JSON and hold no secrets, for they lie in the database; a
    token is made only when the mail is written, from `ticket={"id": …, "purpose": …}`.
    """
    jobs.defer(session, "send_mail", template=template, to=to, facts=facts)


def token(vault: Vault, *, purpose: str, ticket_id: UUID) -> str:
    """Make the token that a mail shows for a ticket: `id.secret`, not stored anywhere."""
    return f"{ticket_id}.{vault.token(purpose, ticket_id)}"
