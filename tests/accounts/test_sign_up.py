"""Opening an account on one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.accounts.asking import ADA, CONFIRM, NEW_PASSWORD, SIGN_UP, logged, may_log_in, told
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.accounts.mailbox import Mailbox
    from tests.factories import Factory

type Change = Callable[..., None]
PERSON = {"email": ADA, "name": "Ada"}


def test_whoever_reads_the_mail_opens_the_account(client: FlaskClient, mailbox: Mailbox, session: Session) -> None:
    asked = client.post(SIGN_UP, json=PERSON)
    letter = mailbox.only()
    confirmed = confirm(client, letter.token)

    user = confirmed.get_json()
    assert asked.status_code == 202
    assert (letter.template, letter.to) == ("sign_up", ADA)
    assert confirmed.status_code == 201
    assert set(user) == {"id", "email", "name", "role", "is_active", "version", "created_at"}
    assert (user["email"], user["name"], user["role"], user["is_active"]) == (ADA, "Ada", "customer", True)
    assert may_log_in(client, NEW_PASSWORD)
    assert session.execute(text("SELECT email_verified_at IS NOT NULL FROM users")).scalar_one()
    (entry,) = logged(session, "account.confirmed")
    assert str(entry["actor_id"]) == user["id"]
    assert [entry["facts"]["email"] for entry in logged(session, "sign_up.requested")] == [ADA]


def test_nobody_has_an_account_before_the_mail_is_read(client: FlaskClient, mailbox: Mailbox, session: Session) -> None:
    client.post(SIGN_UP, json=PERSON)
    mailbox.read()

    assert session.execute(text("SELECT count(*) FROM users")).scalar_one() == 0


def test_whoever_confirms_may_choose_another_name(client: FlaskClient, mailbox: Mailbox) -> None:
    client.post(SIGN_UP, json=PERSON)

    assert confirm(client, mailbox.only().token, name="Countess").get_json()["name"] == "Countess"


def test_what_a_stranger_calls_himself_is_not_mailed_to_others(client: FlaskClient, mailbox: Mailbox) -> None:
    client.post(SIGN_UP, json=PERSON | {"name": "Buy cheap pills"})

    assert "pills" not in mailbox.only().text


def test_an_address_with_an_account_gets_word_of_it_and_no_token(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    make.user(email=ADA)

    client.post(SIGN_UP, json=PERSON)

    assert (letter := mailbox.only()).template == "account_exists"
    assert letter.to == ADA
    assert session.execute(text("SELECT count(*) FROM account_tickets")).scalar_one() == 0


def test_nobody_learns_from_a_sign_up_who_has_an_account(client: FlaskClient, make: Factory) -> None:
    make.user(email=ADA)
    make.user(email="gone@example.com").is_active = False

    answers = [
        told(client.post(SIGN_UP, json=PERSON | {"email": email}))
        for email in (ADA, "gone@example.com", "nobody@example.com")
    ]

    assert answers == answers[:1] * 3


@pytest.mark.parametrize("policy", ["invited", "closed"])
def test_strangers_cannot_sign_up_where_that_is_not_wanted(
    client: FlaskClient, mailbox: Mailbox, settings: Change, policy: str
) -> None:
    settings(sign_up=policy)

    assert_problem(client.post(SIGN_UP, json=PERSON), 403, "sign_up_closed")
    assert mailbox.read() == []


def test_strangers_cannot_finish_a_sign_up_once_that_is_not_wanted(
    client: FlaskClient, mailbox: Mailbox, settings: Change
) -> None:
    client.post(SIGN_UP, json=PERSON)
    token = mailbox.only().token
    settings(sign_up="invited")

    assert_problem(confirm(client, token), 403, "sign_up_closed")


def test_a_token_opens_one_account(client: FlaskClient, mailbox: Mailbox, session: Session) -> None:
    client.post(SIGN_UP, json=PERSON)
    token = mailbox.only().token
    confirm(client, token)
    session.execute(text("UPDATE users SET email = 'other@example.com'"))

    assert_problem(confirm(client, token), 400, "confirmation_token_invalid", "token")
    assert [entry["facts"]["what"] for entry in logged(session, "ticket.refused", "refused")] == ["account"]


def test_a_token_runs_out(client: FlaskClient, mailbox: Mailbox, session: Session) -> None:
    client.post(SIGN_UP, json=PERSON)
    token = mailbox.only().token
    days = session.execute(text("SELECT extract(day FROM expires_at - now()) FROM account_tickets")).scalar_one()
    session.execute(text("UPDATE account_tickets SET expires_at = now()"))

    assert days in {6, 7}
    assert_problem(confirm(client, token), 400, "confirmation_token_invalid")


def test_an_account_makes_other_sign_ups_for_its_address_void(
    client: FlaskClient, mailbox: Mailbox, session: Session
) -> None:
    client.post(SIGN_UP, json=PERSON)
    first = mailbox.only().token
    client.post(SIGN_UP, json=PERSON)
    confirm(client, mailbox.only().token)
    session.execute(text("UPDATE users SET email = 'other@example.com'"))

    assert_problem(confirm(client, first), 400, "confirmation_token_invalid")


def test_a_weak_password_is_refused_and_the_token_stays_good(client: FlaskClient, mailbox: Mailbox) -> None:
    client.post(SIGN_UP, json=PERSON)
    token = mailbox.only().token

    assert_problem(confirm(client, token, password="password1"), 422, "password_too_weak", "password")
    assert confirm(client, token).status_code == 201


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45.",
        "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45." + "x" * 43,
        "0198C1F0-3F9E-7C3A-9D0E-2B8F1C6A7D45." + "x" * 43,
        "\N{DEVANAGARI DIGIT ONE}" * 36 + "." + "x" * 43,
    ],
)
def test_what_is_no_token_opens_nothing(client: FlaskClient, session: Session, token: str) -> None:
    assert_problem(confirm(client, token), 400, "confirmation_token_invalid", "token")
    assert session.execute(text("SELECT count(*) FROM users")).scalar_one() == 0


def test_the_id_of_a_ticket_opens_nothing(client: FlaskClient, mailbox: Mailbox) -> None:
    client.post(SIGN_UP, json=PERSON)
    ticket_id = mailbox.only().token.partition(".")[0]

    assert_problem(confirm(client, f"{ticket_id}.{'x' * 43}"), 400, "confirmation_token_invalid")


def test_an_address_that_was_taken_meanwhile_is_refused(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    client.post(SIGN_UP, json=PERSON)
    token = mailbox.only().token
    make.user(email=ADA)

    assert_problem(confirm(client, token), 409, "email_taken", "email")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"name": "Ada"}, "required", "email"),
        ({"email": ADA}, "required", "name"),
        (PERSON | {"email": "nonsense"}, "invalid_format", "email"),
        (PERSON | {"email": "ada@example.com,eve@example.com"}, "invalid_format", "email"),
        (PERSON | {"email": "ada@example.com\nBcc: eve@example.com"}, "invalid_character", "email"),
        (PERSON | {"name": "x" * 201}, "wrong_length", "name"),
        (PERSON | {"password": NEW_PASSWORD}, "unknown_field", "password"),
        (PERSON | {"role": "admin"}, "unknown_field", "role"),
    ],
)
def test_a_sign_up_that_makes_no_sense_is_refused(
    client: FlaskClient, body: dict[str, Any], code: str, field: str
) -> None:
    assert_problem(client.post(SIGN_UP, json=body), 422, code, field)


def confirm(client: FlaskClient, token: str, *, password: str = NEW_PASSWORD, **facts: str) -> TestResponse:
    return client.post(CONFIRM, json={"token": token, "password": password, **facts})


@pytest.fixture(autouse=True)
def _open_to_all(settings: Change) -> None:
    """Everybody may sign up."""
    settings(sign_up="open")
