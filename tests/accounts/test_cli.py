"""`flask users reset-password` and `flask users invite`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.accounts.asking import ADA, CONFIRM, FORGOT, NEW_PASSWORD, RESET, is_logged_in, logged, may_log_in
from tests.factories import PASSWORD
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.accounts.mailbox import Mailbox
    from tests.factories import Factory

TWICE = f"{NEW_PASSWORD}\n{NEW_PASSWORD}\n"


def test_an_operator_hands_a_token_over(
    app: Flask, client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    user = make.user(email=ADA)
    headers, somebody = make.headers(user=user), make.headers()

    result = run(app, "reset-password", "ADA@example.com", "--json")

    (shown,) = json.loads(result.output)
    assert (result.exit_code, shown["email"]) == (0, ADA)
    assert [is_logged_in(client, each) for each in (headers, somebody)] == [False, True]
    assert mailbox.read() == []
    assert may_log_in(client, PASSWORD)
    assert client.post(RESET, json={"token": shown["token"], "password": NEW_PASSWORD}).status_code == 204
    assert may_log_in(client, NEW_PASSWORD)
    assert [entry["subject_id"] for entry in logged(session, "password.reset_issued")] == [user.id]


def test_a_token_is_shown_to_people_in_one_piece(app: Flask, make: Factory) -> None:
    make.user(email=ADA)
    for_programs = json.loads(run(app, "reset-password", ADA, "--json").output)[0]["token"]

    lines = run(app, "reset-password", ADA).output.splitlines()

    assert [len(line) for line in lines if "." in line and " " not in line] == [len(for_programs)]
    assert ADA in lines[0]


def test_a_token_of_the_operator_makes_those_that_were_mailed_void(
    app: Flask, client: FlaskClient, make: Factory, mailbox: Mailbox
) -> None:
    make.user(email=ADA)
    client.post(FORGOT, json={"email": ADA})
    mailed = mailbox.only().token

    run(app, "reset-password", ADA)

    refused = client.post(RESET, json={"token": mailed, "password": NEW_PASSWORD})
    assert_problem(refused, 400, "reset_token_invalid")


def test_an_operator_sets_a_password(app: Flask, client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    user = make.user(email=ADA)
    headers = make.headers(user=user)

    result = run(app, "reset-password", ADA, "--password", typed=TWICE)

    assert result.exit_code == 0
    assert NEW_PASSWORD not in result.output
    assert not is_logged_in(client, headers)
    assert may_log_in(client, NEW_PASSWORD)
    assert mailbox.only().template == "password_changed"


@pytest.mark.parametrize(
    ("typed", "said"),
    [("password1\npassword1\n", "Choose another password"), ("é" * 513 + "\n" + "é" * 513 + "\n", "1024")],
)
def test_a_password_that_nobody_should_have_is_refused_in_a_sentence(live_app: Flask, typed: str, said: str) -> None:
    with committed(live_app) as make:
        make.user(email=ADA)

    result = run(live_app, "reset-password", ADA, "--password", typed=typed)

    assert result.exit_code == 2
    assert said in result.output
    assert may_log_in(live_app.test_client(), PASSWORD)


@pytest.mark.parametrize("options", [[], ["--password"]])
@pytest.mark.parametrize(
    ("email", "said"),
    [("nobody@example.com", "no account with the address"), ("gone@example.com", "account is closed")],
)
def test_nobody_without_an_active_account_is_helped(
    app: Flask, make: Factory, session: Session, options: list[str], email: str, said: str
) -> None:
    make.user(email="gone@example.com")
    session.execute(text("UPDATE users SET is_active = false"))

    result = run(app, "reset-password", email, *options, typed=TWICE)

    assert result.exit_code == 2
    assert said in result.output


def test_an_operator_invites_to_any_role(app: Flask, client: FlaskClient, mailbox: Mailbox) -> None:
    result = run(app, "invite", ADA, "--role", "admin", "--json")
    letter = mailbox.only()

    confirmed = client.post(CONFIRM, json={"token": letter.token, "password": NEW_PASSWORD})

    assert json.loads(result.output) == [{"email": ADA, "role": "admin"}]
    assert "You are invited to open an account as admin." in letter.text
    assert (confirmed.status_code, confirmed.get_json()["role"]) == (201, "admin")


def test_an_operator_may_say_what_somebody_is_called(app: Flask, client: FlaskClient, mailbox: Mailbox) -> None:
    result = run(app, "invite", ADA, "--role", "clerk", "--name", "Ada Lovelace")

    confirmed = client.post(CONFIRM, json={"token": mailbox.only().token, "password": NEW_PASSWORD})

    assert ADA in result.output
    assert confirmed.get_json()["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([ADA, "--role", "clerk"], "already"),
        (["nonsense", "--role", "clerk"], "e-mail"),
        (["new@example.com", "--role", "root"], "root"),
        (["new@example.com"], "--role"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused_in_a_sentence(
    app: Flask, make: Factory, mailbox: Mailbox, arguments: list[str], said: str
) -> None:
    make.user(email=ADA)

    result = run(app, "invite", *arguments)

    assert result.exit_code == 2
    assert said in result.output
    assert mailbox.read() == []


def test_an_operator_invites_nobody_where_accounts_are_closed(
    app: Flask, mailbox: Mailbox, settings: Callable[..., None]
) -> None:
    settings(sign_up="closed")

    result = run(app, "invite", ADA, "--role", "clerk")

    assert result.exit_code == 2
    assert mailbox.read() == []


def run(app: Flask, *arguments: str, typed: str = "") -> Result:
    return app.test_cli_runner().invoke(args=["users", *arguments], input=typed)
