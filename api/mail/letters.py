"""Writing mails: templates, the tokens in them, and headers that no fact can add to."""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid, parseaddr
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from api.mail.service import token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.core.vault import Vault

SUBJECT = "Subject: "

_templates = Environment(
    loader=PackageLoader("api.mail"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write(
    template: str, *, to: str, sender: str, facts: Mapping[str, Any], vault: Vault, site_url: str | None
) -> EmailMessage:
    """Write a mail, as text and as HTML; the first line of the text template is its subject."""
    known = {**facts, **_ticket_facts(facts.get("ticket"), vault=vault, site_url=site_url)}
    first, _, text = _templates.get_template(f"{template}.txt").render(known).partition("\n")
    sender_name, sender_address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = " ".join(first.removeprefix(SUBJECT).split())  # a header is one line, whatever stands in it
    message["From"] = _address(sender_address, name=sender_name)
    message["To"] = _address(to)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain=sender_address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.strip() + "\n")
    message.add_alternative(_templates.get_template(f"{template}.html").render(known), subtype="html")
    return message


def _ticket_facts(ticket: Mapping[str, str] | None, *, vault: Vault, site_url: str | None) -> dict[str, str | None]:
    """Make the token of a ticket, and the link that carries it where no server logs it: behind the `#`."""
    if ticket is None:
        return {}
    made, page = token(vault, purpose=ticket["purpose"], ticket_id=UUID(ticket["id"])), ticket["purpose"]
    return {"token": made, "link": f"{site_url}/{page.replace('_', '-')}#token={made}" if site_url else None}


def _address(address: str, *, name: str = "") -> Address:
    """Build one address from its parts, so that whatever stands in it stays one."""
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
