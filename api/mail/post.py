"""Handing mails to a mail server (RFC 5321), encrypted wherever it can be (RFC 3207, RFC 8314)."""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from email.message import EmailMessage

TIMEOUT_SECONDS = 15
PERMANENT = 500
"""Replies from here on say that another try will not help (RFC 5321 section 4.2.1)."""

SUBMISSION_PORT, RELAY_PORT, TLS_PORT = 587, 25, 465


class MailRefusedError(Exception):
    """The server will never take this mail; trying again is of no use."""


class EncryptionMissingError(Exception):
    """The server offers no encryption and would be told a password."""


def deliver(message: EmailMessage, *, to: str, url: str) -> None:
    """Hand a mail to the server at `url`.

    Raises:
        MailRefusedError: it was refused for good.
        EncryptionMissingError: there is a password, and the server does not offer STARTTLS.

    """
    with _connected(url) as server:
        try:
            server.send_message(message, to_addrs=[to])
        except smtplib.SMTPRecipientsRefused as error:
            _give_up_if_permanent(*error.recipients[to])
            raise
        except smtplib.SMTPDataError as error:
            _give_up_if_permanent(error.smtp_code, error.smtp_error)
            raise


def _connected(url: str) -> smtplib.SMTP:
    parts, context = urlsplit(url), ssl.create_default_context()
    host, user = parts.hostname or "", unquote(parts.username or "")
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or TLS_PORT, timeout=TIMEOUT_SECONDS, context=context)
    else:
        port = parts.port or (SUBMISSION_PORT if user else RELAY_PORT)
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    try:
        _secure(server, context, is_secure=parts.scheme == "smtps", has_password=bool(user))
        if user:
            server.login(user, unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _secure(server: smtplib.SMTP, context: ssl.SSLContext, *, is_secure: bool, has_password: bool) -> None:
    server.ehlo_or_helo_if_needed()
    if is_secure:
        return
    if server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
    elif has_password:
        raise EncryptionMissingError


def _give_up_if_permanent(code: int, reason: bytes | str) -> None:
    if code >= PERMANENT:
        raise MailRefusedError(code, reason)
