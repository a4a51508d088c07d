"""Passwords that are forgotten, and passwords that are changed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.core.vault import Vault
from api.second_factor import service as second_factor
from tests.accounts.asking import (
    ADA,
    CHANGE,
    CONFIRM,
    FORGOT,
    NEW_EMAIL,
    NEW_PASSWORD,
    RESET,
    SIGN_UP,
    VERIFICATION,
    VERIFY,
    is_logged_in,
    log_in,
    logged,
    may_log_in,
    told,
)
from tests.factories import PASSWORD
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.accounts.mailbox import Mailbox
    from tests.factories import Factory


def test_whoever_reads_the_mail_sets_a_new_password(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)

    asked = client.post(FORGOT, json={"email": ADA})
    letter = mailbox.only()
    done = reset(client, letter.token)

    assert asked.status_code == 202
    assert (letter.template, letter.to) == ("password_reset", ADA)
    assert (done.status_code, done.data) == (204, b"")
    assert may_log_in(client, NEW_PASSWORD)
    assert not may_log_in(client, PASSWORD)
    assert mailbox.only().template == "password_changed"
    assert [entry["facts"]["email"] for entry in logged(session, "password.reset_requested")] == [ADA]
    assert [entry["subject_id"] for entry in logged(session, "password.changed")] == [user.id]


def test_a_reset_ends_all_logins_of_the_account_and_no_others(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    user = make.user(email=ADA)
    mine, others = [make.headers(user=user), make.headers(user=user)], make.headers()

    reset(client, reset_token(client, mailbox))

    assert [is_logged_in(client, headers) for headers in (*mine, others)] == [False, False, True]


def test_a_reset_proves_the_address(client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session) -> None:
    make.user(email=ADA)
    before = session.execute(text("SELECT email_verified_at FROM users")).scalar_one()

    reset(client, reset_token(client, mailbox))

    assert before is None
    assert session.execute(text("SELECT email_verified_at FROM users")).scalar_one() is not None


def test_a_reset_leaves_the_second_factor_on(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    second_factor.begin(session, user.id, label=ADA, vault=Vault("unused"))
    session.execute(text("UPDATE second_factors SET confirmed_at = now()"))

    reset(client, reset_token(client, mailbox))

    assert second_factor.is_on(session, user.id)


def test_an_account_without_a_password_gets_its_first(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    make.user(email=ADA, password=None)

    assert reset(client, reset_token(client, mailbox)).status_code == 204
    assert may_log_in(client, NEW_PASSWORD)


def test_nobody_without_an_active_account_gets_a_mail(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    make.user(email=ADA)
    session.execute(text("UPDATE users SET is_active = false"))

    for email in (ADA, "nobody@example.com"):
        client.post(FORGOT, json={"email": email})

    assert mailbox.read() == []


def test_nobody_learns_who_has_an_account(client: FlaskClient, make: Factory, session: Session) -> None:
    make.user(email=ADA)
    make.user(email="gone@example.com")
    session.execute(text("UPDATE users SET is_active = false WHERE email = 'gone@example.com'"))

    answers = [
        told(client.post(FORGOT, json={"email": email})) for email in (ADA, "gone@example.com", "nobody@example.com")
    ]

    assert answers == answers[:1] * 3


def test_a_token_sets_one_password(client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session) -> None:
    make.user(email=ADA)
    token = reset_token(client, mailbox)
    reset(client, token)

    again = reset(client, token, password="another " + NEW_PASSWORD)

    assert_problem(again, 400, "reset_token_invalid", "token")
    assert may_log_in(client, NEW_PASSWORD)
    assert [entry["facts"]["what"] for entry in logged(session, "ticket.refused", "refused")] == ["password"]


def test_a_token_used_by_many_at_once_sets_one_password(
    start: Callable[..., Flask], open_mailbox: Callable[[Flask], Mailbox]
) -> None:
    app = start(login_limit="1000 per minute")
    with committed(app) as make:
        make.user(email=ADA)
    token = reset_token(app.test_client(), open_mailbox(app))
    passwords = [f"{NEW_PASSWORD} {number}" for number in range(10)]

    answers = at_once(
        app, *({"path": RESET, "method": "POST", "json": {"token": token, "password": each}} for each in passwords)
    )

    assert Counter(answer.status_code for answer in answers) == {204: 1, 400: 9}
    (winner,) = [each for each, answer in zip(passwords, answers, strict=True) if answer.status_code == 204]
    assert may_log_in(app.test_client(), winner)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account_tickets SET expires_at = now()",
        "UPDATE account_tickets SET used_at = now()",
        "DELETE FROM account_tickets",
        "UPDATE users SET is_active = false",
        "UPDATE users SET email = 'other@example.com'",
        "DELETE FROM users",
    ],
)
def test_a_token_that_is_good_no_more_sets_nothing(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session, statement: str
) -> None:
    make.user(email=ADA)
    token = reset_token(client, mailbox)

    session.execute(text(statement))

    assert_problem(reset(client, token), 400, "reset_token_invalid", "token")


def test_a_token_lasts_as_long_as_the_settings_say(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session, settings: Callable[..., None]
) -> None:
    settings(reset_seconds=300)
    make.user(email=ADA)

    reset_token(client, mailbox)

    life = session.execute(text("SELECT extract(epoch FROM expires_at - created_at) FROM account_tickets")).scalar_one()
    assert life == 300


def test_the_last_mail_counts(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    make.user(email=ADA)
    first, second = reset_token(client, mailbox), reset_token(client, mailbox)

    assert_problem(reset(client, first), 400, "reset_token_invalid")
    assert reset(client, second).status_code == 204


def test_a_token_of_another_kind_sets_no_password(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    user = make.user(email=ADA)
    client.post(NEW_EMAIL, json={"email": "new@example.com"}, headers=make.headers(user=user))
    token = next(letter.token for letter in mailbox.read() if letter.template == "email_change")

    assert_problem(reset(client, token), 400, "reset_token_invalid")


@pytest.mark.parametrize("address", [CONFIRM, VERIFY])
def test_a_reset_token_is_good_for_nothing_else(
    client: FlaskClient, make: Factory, mailbox: Mailbox, address: str
) -> None:
    make.user(email=ADA)
    token = reset_token(client, mailbox)
    body = {"token": token, "password": NEW_PASSWORD} if address == CONFIRM else {"token": token}

    assert_problem(client.post(address, json=body), 400, "confirmation_token_invalid")
    assert reset(client, token).status_code == 204


def test_a_weak_password_is_refused_and_the_token_stays_good(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    make.user(email=ADA)
    token = reset_token(client, mailbox)

    assert_problem(reset(client, token, password="password1"), 422, "password_too_weak", "password")
    assert may_log_in(client, PASSWORD)
    assert reset(client, token).status_code == 204


@pytest.mark.parametrize("how", ["reset", "change"])
def test_a_change_of_address_under_way_dies_with_the_password(
    client: FlaskClient, make: Factory, mailbox: Mailbox, how: str
) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)
    client.post(NEW_EMAIL, json={"email": "thief@example.com"}, headers=headers)
    token = next(letter.token for letter in mailbox.read() if letter.template == "email_change")

    if how == "reset":
        reset(client, reset_token(client, mailbox))
    else:
        change(client, headers)

    assert_problem(client.post(VERIFY, json={"token": token}), 400, "confirmation_token_invalid")


def test_no_address_is_mailed_more_than_five_times_an_hour_and_nobody_notices(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    make.user(email=ADA)
    make.user(email="eve@example.com")

    answers = [told(client.post(FORGOT, json={"email": ADA})) for _ in range(7)]
    client.post(FORGOT, json={"email": "eve@example.com"})

    assert answers == answers[:1] * 7
    assert Counter(letter.to for letter in mailbox.read()) == {ADA: 5, "eve@example.com": 1}


def test_the_limit_of_an_address_is_no_news_to_whoever_asks(client: FlaskClient) -> None:
    answer = client.post(FORGOT, json={"email": ADA})

    assert re.findall(r'"([a-z-]+)"', answer.headers["RateLimit-Policy"]) == ["network", "attempts"]


@pytest.mark.parametrize("path", [SIGN_UP, FORGOT, RESET, CONFIRM, VERIFY, CHANGE, NEW_EMAIL, VERIFICATION])
def test_one_network_may_ask_so_often_and_no_more(
    client: FlaskClient, make: Factory, settings: Callable[..., None], path: str
) -> None:
    settings(login_limit="2 per minute")
    headers = make.headers()

    answers = [client.post(path, json={}, headers=headers).status_code for _ in range(3)]

    assert [answer == 429 for answer in answers] == [False, False, True]


def test_whoever_knows_the_password_changes_it(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)

    done = change(client, headers)

    assert (done.status_code, done.data) == (204, b"")
    assert may_log_in(client, NEW_PASSWORD)
    assert not may_log_in(client, PASSWORD)
    assert (letter := mailbox.only()).template == "password_changed"
    assert letter.to == ADA
    assert [entry["actor_id"] for entry in logged(session, "password.changed")] == [user.id]


def test_a_change_ends_all_other_logins(client: FlaskClient, make: Factory) -> None:
    user = make.user(email=ADA)
    this, other, somebody = make.headers(user=user), make.headers(user=user), make.headers()

    change(client, this)

    assert [is_logged_in(client, headers) for headers in (this, other, somebody)] == [True, False, True]


def test_a_change_makes_resets_that_were_mailed_void(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    user = make.user(email=ADA)
    token = reset_token(client, mailbox)

    change(client, make.headers(user=user))

    assert_problem(reset(client, token), 400, "reset_token_invalid")


def test_whoever_does_not_know_the_password_does_not_change_it(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    user = make.user(email=ADA)

    refused = change(client, make.headers(user=user), current="guessed")

    assert_problem(refused, 403, "password_wrong", "current_password")
    assert may_log_in(client, PASSWORD)
    (entry,) = logged(session, "password.refused", "refused")
    assert (entry["actor_id"], entry["subject_id"]) == (user.id, user.id)


def test_guesses_at_the_present_password_count_like_those_of_a_login(client: FlaskClient, make: Factory) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)

    answers = [change(client, headers, current="guessed") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [403] * 5 + [429]
    assert not may_log_in(client, PASSWORD)


def test_a_weak_new_password_is_refused_and_is_no_guess(client: FlaskClient, make: Factory) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)

    answers = [change(client, headers, new="password1") for _ in range(6)]

    for answer in answers:
        assert_problem(answer, 422, "password_too_weak", "new_password")
        assert {problem["field"] for problem in answer.get_json()["error"]["details"]} == {"new_password"}
    assert may_log_in(client, PASSWORD)


def test_an_account_without_a_password_has_none_to_change(client: FlaskClient, make: Factory) -> None:
    user = make.user(email=ADA, password=None)

    assert_problem(change(client, make.headers(user=user)), 409, "no_password", None)


def test_strangers_change_nothing(client: FlaskClient) -> None:
    assert_problem(change(client, {}), 401, "authentication_required")


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        (FORGOT, {}, "required", "email"),
        (FORGOT, {"email": "nonsense"}, "invalid_format", "email"),
        (RESET, {"password": NEW_PASSWORD}, "required", "token"),
        (RESET, {"token": "x" * 101, "password": NEW_PASSWORD}, "wrong_length", "token"),
        (RESET, {"token": "x"}, "required", "password"),
        (RESET, {"token": "x", "password": "x" * 1025}, "wrong_length", "password"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: FlaskClient, path: str, body: dict[str, Any], code: str, field: str
) -> None:
    assert_problem(client.post(path, json=body), 422, code, field)


def test_an_address_is_one_address_however_it_is_written(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    make.user(email=ADA)

    client.post(FORGOT, json={"email": " ADA@Example.com. "})

    assert mailbox.only().to == ADA


def test_a_login_that_was_ended_by_a_reset_cannot_change_the_password(
    client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    make.user(email=ADA)
    headers = log_in(client)

    reset(client, reset_token(client, mailbox))

    assert_problem(change(client, headers, current=NEW_PASSWORD, new=PASSWORD), 401, "token_invalid")


def reset_token(client: FlaskClient, mailbox: Mailbox) -> str:
    """Ask for a new password for Ada, and read the mail."""
    client.post(FORGOT, json={"email": ADA})
    return mailbox.only().token


def reset(client: FlaskClient, token: str, *, password: str = NEW_PASSWORD) -> TestResponse:
    return client.post(RESET, json={"token": token, "password": password})


def change(
    client: FlaskClient, headers: dict[str, str], *, current: str = PASSWORD, new: str = NEW_PASSWORD
) -> TestResponse:
    return client.post(CHANGE, json={"current_password": current, "new_password": new}, headers=headers)
