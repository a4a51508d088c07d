"""What stands in a mail."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from jinja2 import UndefinedError

from api.core.vault import Vault
from api.mail import letters
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from email.message import EmailMessage

TICKET = UUID("0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45")
VAULT = Vault("a secret")
FACTS: dict[str, Any] = {
    "ticket": {"id": str(TICKET), "purpose": "password_reset"},
    "until": "2026-05-17 09:30 UTC",
    "role": "clerk",
    "inviter": "Grace",
    "what": "its second factor was switched on",
    "new_address": "new@example.com",
    "levels": [
        {
            "sku": "CUP",
            "name": "A <cup>",
            "location": "MAIN",
            "available": 4,
            "reorder_point": 5,
            "suggested": 48,
        }
    ],
    "kind": "order_shipped",
    "kinds": ["low_stock", "order_shipped"],
    "is_guest": False,
    "title": "Order SO-001001 is on its way",
    "text": "2 units left with <b>Royal Mail</b>.",
    "lines": [{"quantity": 2, "sku": "CUP", "name": "A <cup>"}],
    "more": 3,
    "total": 4,
    "others": [{"title": "Order SO-001001 is on its way", "text": "By <b>Royal Mail</b>."}],
    "host": "hooks.example.com",
    "endpoint_id": "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4c",
}
TEMPLATES = sorted(
    path.stem for path in (PROJECT / "api/mail/templates").glob("*.txt") if path.stem not in {"token", "parts"}
)
OF_NOTIFICATIONS = [
    name for name in TEMPLATES if "parts.txt" in (PROJECT / f"api/mail/templates/{name}.txt").read_text("utf-8")
]


@pytest.mark.parametrize("site_url", [None, "https://shop.example.com"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_mail_has_a_subject_a_text_and_a_page(template: str, site_url: str | None) -> None:
    message = write(template, site_url=site_url)

    text, page = part(message, "plain"), part(message, "html")
    assert message["Subject"]
    assert "Subject:" not in message["Subject"] + text
    assert page.startswith("<!doctype html>")
    for body in (text, page):
        assert "{" not in body.replace("font-family", "")
        assert "None" not in body


def test_the_headers_say_where_it_comes_from_and_that_nobody_need_answer() -> None:
    message = write("password_reset", sender="The Shop <shop@example.com>")

    assert message["From"] == "The Shop <shop@example.com>"
    assert message["To"] == "ada@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"].datetime.tzinfo is not None


def test_two_mails_have_two_ids() -> None:
    assert write("password_reset")["Message-ID"] != write("password_reset")["Message-ID"]


def test_a_token_is_made_when_the_mail_is_written() -> None:
    token = f"{TICKET}.{VAULT.token('password_reset', TICKET)}"

    bare, linked = write("password_reset"), write("password_reset", site_url="https://shop.example.com/app")

    assert token in part(bare, "plain")
    assert token in part(bare, "html")
    assert f"https://shop.example.com/app/password-reset#token={token}\n" in part(linked, "plain")
    assert f'href="https://shop.example.com/app/password-reset#token={token}"' in part(linked, "html")


def test_what_a_fact_says_is_text_and_no_page() -> None:
    message = write("invitation", inviter="<script>alert(1)</script>")

    assert "<script>" not in part(message, "html")
    assert "&lt;script&gt;" in part(message, "html")
    assert "<script>" in part(message, "plain")


@pytest.mark.parametrize("template", OF_NOTIFICATIONS)
def test_a_notification_is_no_page_and_says_how_to_get_no_more_of_them(template: str) -> None:
    page, text = part(message := write(template), "html"), part(message, "plain")

    for mark in ("<cup>", "<b>Royal"):
        assert mark not in page
    for body in (page, text):
        assert "PATCH /api/v1/notifications/preferences" in body
        assert "order_shipped" in body


@pytest.mark.parametrize("template", [name for name in OF_NOTIFICATIONS if name.startswith("order_")])
def test_a_guest_is_told_why_a_mail_comes(template: str) -> None:
    message = write(template, is_guest=True)

    for body in (part(message, "html"), part(message, "plain")):
        assert "because your address was given with the order" in body
        assert "preferences" not in body


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\u2028"])
def test_no_fact_adds_a_header(breaks: str) -> None:
    evil = f"Eve{breaks}Bcc: eve@example.com{breaks}{breaks}"
    level = FACTS["levels"][0] | {"sku": evil}
    written: dict[str, dict[str, Any]] = {
        "invitation": {"inviter": evil},
        "order_shipped": {"title": evil},
        "low_stock": {"levels": [level]},
        "digest": {"levels": [level], "others": []},
    }
    for template, facts in written.items():
        message = write(template, **facts)

        read = message_from_bytes(message.as_bytes(), policy=policy.default)

        assert "Bcc" not in read
        assert read.keys() == write("invitation").keys()


@pytest.mark.parametrize("to", ["ada@example.com\r\nBcc: eve@example.com", "ada\n@example.com", "ada@example.com\r"])
def test_an_address_with_a_line_break_is_refused(to: str) -> None:
    with pytest.raises(ValueError, match="CR or LF"):
        write("invitation", to=to)


def test_an_address_is_one_address_whatever_stands_in_it() -> None:
    message = write("invitation", to="eve@example.com,ada@example.com")

    assert len(message["To"].addresses) == 1


def test_a_fact_that_is_missing_is_a_fault_and_no_gap() -> None:
    with pytest.raises(UndefinedError):
        letters.write("email_change_notice", to="a@b.co", sender="c@d.co", facts={}, vault=VAULT, site_url=None)


def write(
    template: str,
    *,
    to: str = "ada@example.com",
    sender: str = "Stockroom <stockroom@localhost>",
    site_url: str | None = None,
    **facts: Any,
) -> EmailMessage:
    return letters.write(template, to=to, sender=sender, facts=FACTS | facts, vault=VAULT, site_url=site_url)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())
