"""Sending mails in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import structlog
from flask import current_app

from api.jobs.app import background
from api.mail import letters, post

if TYPE_CHECKING:
    from email.message import EmailMessage

    from sqlalchemy.orm import Session

    from api.config import Settings

log = structlog.get_logger(__name__)

RETRIES = 30
"""Within a day and a bit: most of them an hour apart. A mail server may be away for a night."""


@background(retries=RETRIES, wait=3)
def send_mail(_: Session, *, template: str, to: str, facts: dict[str, Any]) -> None:
    """Write a mail and hand it to the mail server; without one, show it to whoever develops."""
    settings: Settings = current_app.extensions["stockroom"]
    if settings.smtp_url is None and settings.is_production:
        log.error("mail_not_sent", template=template, reason="SMTP_URL is not set")
        return
    message = letters.write(
        template,
        to=to,
        sender=settings.mail_from,
        facts=facts,
        vault=current_app.extensions["vault"],
        site_url=settings.site_url,
    )
    if settings.smtp_url is None:
        click.echo(_as_text(message))
        return
    try:
        post.deliver(message, to=to, url=settings.smtp_url)
    except post.MailRefusedError as error:
        log.error("mail_not_sent", template=template, reason=str(error))  # noqa: TRY400  # a traceback says no more


def _as_text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    text = body.get_content() if body else ""
    return f"\n--- mail to {message['To']}: {message['Subject']}\n\n{text}---"
