"""Opening an account that somebody else has offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.accounts.asking import ADA, CONFIRM, INVITE, NEW_PASSWORD, logged, may_log_in
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.accounts.mailbox import Mailbox
    from tests.factories import Factory


def test_whoever_is_invited_gets_the_role(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    manager = make.user(role="manager", name="Grace")

    invited = invite(client, make.headers(user=manager), role="clerk", name="Ada")
    letter = mailbox.only()
    user = confirm(client, letter.token).get_json()

    assert invited.status_code == 202
    assert (letter.template, letter.to) == ("invitation", ADA)
    assert "Grace invites you" in letter.text
    assert "as clerk" in letter.text
    assert (user["role"], user["name"], user["email"]) == ("clerk", "Ada", ADA)
    assert may_log_in(client, NEW_PASSWORD)


def test_what_an_invitation_leads_to_is_written_down(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    manager = make.user(role="manager")

    invite(client, make.headers(user=manager))
    user = confirm(client, mailbox.only().token).get_json()

    (invited,) = logged(session, "user.invited")
    created = logged(session, "user.created")[-1]
    assert invited["actor_id"] == created["actor_id"] == manager.id
    assert (invited["facts"]["email"], invited["facts"]["role"]) == (ADA, "clerk")
    assert str(created["subject_id"]) == user["id"]
    assert created["address"] == "127.0.0.1"


def test_somebody_invited_without_a_name_gets_one(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    invite(client, make.headers())

    assert confirm(client, mailbox.only().token).get_json()["name"] == "ada"


def test_nobody_invites_to_a_role_above_their_own(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    assert_problem(invite(client, make.headers(role="manager"), role="admin"), 403, "role_not_yours", "role")
    assert mailbox.read() == []


@pytest.mark.parametrize("role", ["customer", "clerk"])
def test_whoever_may_not_make_users_may_not_invite(client: FlaskClient, make: Factory, role: str) -> None:
    assert_problem(invite(client, make.headers(role=role), role="customer"), 403, "forbidden")


def test_an_address_with_an_account_is_not_invited(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    make.user(email=ADA)

    assert_problem(invite(client, make.headers()), 409, "email_taken", "email")
    assert mailbox.read() == []


def test_nobody_is_invited_where_accounts_are_closed(
    client: FlaskClient, make: Factory, mailbox: Mailbox, settings: Callable[..., None]
) -> None:
    invite(client, make.headers())
    token = mailbox.only().token
    settings(sign_up="closed")

    assert_problem(invite(client, make.headers()), 403, "sign_up_closed")
    assert_problem(confirm(client, token), 403, "sign_up_closed")


@pytest.mark.parametrize(
    "change",
    ["is_active = false", "role = 'clerk'", "role = 'customer'"],
)
def test_an_invitation_is_worth_what_its_inviter_is(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session, change: str
) -> None:
    manager = make.user(role="manager")
    invite(client, make.headers(user=manager), role="clerk")
    token = mailbox.only().token

    session.execute(text(f"UPDATE users SET {change} WHERE id = :id"), {"id": manager.id})  # noqa: S608  # from the list above

    assert_problem(confirm(client, token), 400, "confirmation_token_invalid")
    session.execute(text("UPDATE users SET is_active = true, role = 'manager' WHERE id = :id"), {"id": manager.id})
    assert confirm(client, token).status_code == 201


def test_an_invitation_gives_no_role_that_its_inviter_has_lost(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    admin = make.user(role="admin")
    invite(client, make.headers(user=admin), role="admin")
    token = mailbox.only().token

    session.execute(text("UPDATE users SET role = 'manager' WHERE id = :id"), {"id": admin.id})

    assert_problem(confirm(client, token), 400, "confirmation_token_invalid")


def test_an_invitation_of_somebody_who_is_gone_is_worth_nothing(
    client: FlaskClient, make: Factory, mailbox: Mailbox, session: Session
) -> None:
    manager = make.user(role="manager")
    invite(client, make.headers(user=manager))
    token = mailbox.only().token

    session.execute(text("DELETE FROM users WHERE id = :id"), {"id": manager.id})

    assert_problem(confirm(client, token), 400, "confirmation_token_invalid")


def test_the_last_invitation_counts(client: FlaskClient, make: Factory, mailbox: Mailbox) -> None:
    headers = make.headers()
    invite(client, headers, role="admin")
    mistaken = mailbox.only().token
    invite(client, headers, role="clerk")

    assert_problem(confirm(client, mistaken), 400, "confirmation_token_invalid")
    assert confirm(client, mailbox.only().token).get_json()["role"] == "clerk"


def test_an_address_is_invited_so_often_and_no_more(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()

    answers = [invite(client, headers) for _ in range(6)]

    assert [answer.status_code for answer in answers[:5]] == [202] * 5
    assert_problem(answers[5], 429, "rate_limited")
    assert invite(client, headers, email="other@example.com").status_code == 202


def confirm(client: FlaskClient, token: str, *, password: str = NEW_PASSWORD, **facts: str) -> TestResponse:
    return client.post(CONFIRM, json={"token": token, "password": password, **facts})


def invite(client: FlaskClient, headers: dict[str, str], **facts: str) -> TestResponse:
    return client.post(INVITE, json={"email": ADA, "role": "clerk", **facts}, headers=headers)
