"""Addresses that are proven, and addresses that change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.accounts.asking import ADA, FORGOT, NEW_EMAIL, RESET, VERIFICATION, VERIFY, logged, may_log_in, told
from tests.factories import PASSWORD
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.accounts.mailbox import Letter, Mailbox
    from tests.factories import Factory

NEW = "new@example.com"


def test_a_new_address_counts_once_its_mail_is_read(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)

    asked = change(client, make.headers(user=user))
    letters = by_address(mailbox)
    before = session.execute(text("SELECT email FROM users")).scalar_one()
    done = verify(client, letters[NEW].token)

    assert asked.status_code == 202
    assert {address: letter.template for address, letter in letters.items()} == {
        NEW: "email_change",
        ADA: "email_change_notice",
    }
    assert NEW in letters[ADA].text
    assert before == ADA
    assert (done.status_code, done.data) == (204, b"")
    after = session.execute(text("SELECT email, email_verified_at IS NOT NULL FROM users")).one()
    assert tuple(after) == (NEW, True)
    assert may_log_in(client, PASSWORD, NEW)
    (entry,) = logged(session, "email.changed")
    assert (entry["subject_id"], entry["facts"]) == (user.id, {"before": ADA, "after": NEW})
    assert [line["facts"]["email"] for line in logged(session, "email.change_requested")] == [NEW]


def test_a_login_must_be_fresh_for_another_address(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    headers = make.headers()
    session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '16 minutes'"))

    assert_problem(change(client, headers), 403, "reauthentication_required")
    assert mailbox.read() == []


def test_an_address_with_an_account_gets_word_of_it_and_no_token(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    make.user(email=NEW)
    user = make.user(email=ADA)

    change(client, make.headers(user=user))

    templates = {address: letter.template for address, letter in by_address(mailbox).items()}
    assert templates == {NEW: "account_exists", ADA: "email_change_notice"}


def test_nobody_learns_from_a_change_who_has_an_account(client: FlaskClient, make: Factory) -> None:
    make.user(email=NEW)
    headers = make.headers()

    answers = [told(change(client, headers, email)) for email in (NEW, "nobody@example.com")]

    assert answers[0] == answers[1]


def test_an_address_that_was_taken_meanwhile_is_refused(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    change(client, make.headers(user=user))
    token = by_address(mailbox)[NEW].token
    make.user(email=NEW)

    assert_problem(verify(client, token), 409, "email_taken", "email")
    assert session.execute(text("SELECT email FROM users WHERE id = :id"), {"id": user.id}).scalar_one() == ADA


def test_the_last_change_counts(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    headers = make.headers()
    change(client, headers)
    first = by_address(mailbox)[NEW].token
    change(client, headers, "newer@example.com")
    second = by_address(mailbox)["newer@example.com"].token

    assert_problem(verify(client, first), 400, "confirmation_token_invalid", "token")
    assert verify(client, second).status_code == 204


def test_what_lies_in_the_old_mailbox_is_void_even_when_it_is_used_again(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    client.post(FORGOT, json={"email": ADA})
    old = mailbox.only().token
    change(client, make.headers(user=user))

    verify(client, by_address(mailbox)[NEW].token)
    session.execute(text("UPDATE users SET email = :old"), {"old": ADA})

    refused = client.post(RESET, json={"token": old, "password": "seven unrelated umbrellas"})
    assert_problem(refused, 400, "reset_token_invalid")


@pytest.mark.parametrize("answered", ["before", "after"])
def test_a_new_password_stops_a_change_of_address_whether_it_has_been_answered_or_not(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session, answered: str
) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)
    change(client, headers)
    letters = mailbox.read() if answered == "before" else []

    changed = client.post(
        "/api/v1/auth/password/change",
        json={"current_password": PASSWORD, "new_password": "seven unrelated umbrellas"},
        headers=headers,
    )
    letters += mailbox.read()

    assert changed.status_code == 204
    for letter in letters:
        if letter.template == "email_change":
            assert_problem(verify(client, letter.token), 400, "confirmation_token_invalid")
    assert session.execute(text("SELECT email FROM users WHERE id = :id"), {"id": user.id}).scalar_one() == ADA


def test_an_account_without_an_address_gets_one(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=None, password=None)

    change(client, make.headers(user=user))
    letter = mailbox.only()
    verify(client, letter.token)

    assert letter.to == NEW
    assert session.execute(text("SELECT email FROM users WHERE id = :id"), {"id": user.id}).scalar_one() == NEW


def test_an_address_is_proven_by_reading_its_mail(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)

    asked = client.post(VERIFICATION, headers=make.headers(user=user))
    letter = mailbox.only()
    before = session.execute(text("SELECT email_verified_at FROM users")).scalar_one()
    done = verify(client, letter.token)

    assert (asked.status_code, done.status_code, before) == (202, 204, None)
    assert (letter.template, letter.to) == ("email_verification", ADA)
    assert session.execute(text("SELECT email_verified_at FROM users")).scalar_one() is not None
    assert [entry["subject_id"] for entry in logged(session, "email.verified")] == [user.id]


def test_a_token_proves_an_address_once(client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session) -> None:
    client.post(VERIFICATION, headers=make.headers())
    token = mailbox.only().token
    verify(client, token)

    assert_problem(verify(client, token), 400, "confirmation_token_invalid", "token")
    assert [entry["facts"]["what"] for entry in logged(session, "ticket.refused", "refused")] == ["email"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account_tickets SET expires_at = now()",
        "UPDATE users SET is_active = false",
        "UPDATE users SET email = 'other@example.com'",
    ],
)
def test_a_token_that_is_good_no_more_proves_nothing(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session, statement: str
) -> None:
    user = make.user(email=ADA)
    client.post(VERIFICATION, headers=make.headers(user=user))
    token = mailbox.only().token

    session.execute(text(statement))

    assert_problem(verify(client, token), 400, "confirmation_token_invalid")
    assert session.execute(text("SELECT email_verified_at FROM users")).scalar_one() is None


def test_a_closed_account_gets_no_other_address(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    change(client, make.headers(user=user))
    token = by_address(mailbox)[NEW].token

    session.execute(text("UPDATE users SET is_active = false"))

    assert_problem(verify(client, token), 400, "confirmation_token_invalid")


def test_an_account_without_an_address_has_none_to_prove(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    user = make.user(email=None, password=None)

    assert_problem(client.post(VERIFICATION, headers=make.headers(user=user)), 409, "no_address", None)
    assert mailbox.read() == []


def test_no_address_is_mailed_more_than_five_times_an_hour_and_nobody_notices(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)

    changes, letters = [], []
    for _ in range(6):
        changes.append(told(change(client, headers)))
        letters += mailbox.read()
    proofs = [told(client.post(VERIFICATION, headers=headers)) for _ in range(6)]
    letters += mailbox.read()

    assert (changes, proofs) == (changes[:1] * 6, proofs[:1] * 6)
    kinds = Counter(letter.template for letter in letters)
    assert kinds == {"email_change": 5, "email_change_notice": 5, "email_verification": 5}


@pytest.mark.parametrize("path", [NEW_EMAIL, VERIFICATION])
def test_strangers_have_no_address_here(client: FlaskClient, path: str) -> None:
    assert_problem(client.post(path, json={"email": NEW}), 401, "authentication_required")


@pytest.mark.parametrize("email", ["nonsense", "", "a@b", f"{NEW},{ADA}"])
def test_an_address_must_be_one(client: FlaskClient, make: Factory, email: str) -> None:
    assert_problem(change(client, make.headers(), email), 422, "invalid_format", "email")


def change(client: FlaskClient, headers: dict[str, str], email: str = NEW) -> TestResponse:
    return client.post(NEW_EMAIL, json={"email": email}, headers=headers)


def verify(client: FlaskClient, token: str) -> TestResponse:
    return client.post(VERIFY, json={"token": token})


def by_address(mailbox: Mailbox) -> dict[str, Letter]:
    letters = mailbox.read()
    found = {letter.to: letter for letter in letters}
    assert len(found) == len(letters)
    return found
