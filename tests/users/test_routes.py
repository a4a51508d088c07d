"""Users over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from api.events.models import Event
from tests.factories import PASSWORD
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

USERS = "/api/v1/users"
ADA = {"email": "ada@example.com", "name": "Ada Lovelace", "password": PASSWORD, "role": "clerk"}
SHOWN = {"id", "email", "name", "role", "is_active", "version", "created_at"}


def test_a_new_user_can_log_in_and_see_themselves(client: FlaskClient, make: Factory) -> None:
    created = client.post(USERS, json=ADA, headers=make.headers())

    pair = client.post("/api/v1/auth/token", json={"username": ADA["email"], "password": PASSWORD}).get_json()
    me = client.get(f"{USERS}/me", headers={"Authorization": f"Bearer {pair['access_token']}"})

    assert (created.status_code, created.headers["ETag"]) == (201, '"1"')
    assert me.get_json() == created.get_json()
    assert set(me.get_json()) == SHOWN
    assert me.get_json()["role"] == "clerk"


def test_a_new_user_is_news_without_secrets(client: FlaskClient, make: Factory, session: Session) -> None:
    created = client.post(USERS, json=ADA, headers=make.headers())

    event = session.scalars(select(Event).where(Event.subject_id == created.get_json()["id"])).one()

    assert (event.type, event.data) == ("user.created", {"role": "clerk"})


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", " Ada@Example.com. "])
def test_an_address_has_one_account_however_it_is_written(client: FlaskClient, make: Factory, email: str) -> None:
    headers = make.headers()
    client.post(USERS, json=ADA, headers=headers)

    response = client.post(USERS, json=ADA | {"email": email}, headers=headers)

    assert_problem(response, 409, "email_taken", "email")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"email": "nobody"}, "invalid_format", "email"),
        ({"email": "a@b"}, "invalid_format", "email"),
        ({"email": "a b@example.com"}, "invalid_format", "email"),
        ({"email": "a@example.com, b@example.com"}, "invalid_format", "email"),
        ({"email": "Ada <ada@example.com>"}, "invalid_format", "email"),
        ({"email": "a" * 60_000 + "@example.com"}, "invalid_format", "email"),
        ({"email": None}, "null_not_allowed", "email"),
        ({"name": ""}, "wrong_length", "name"),
        ({"password": ""}, "wrong_length", "password"),
        ({"password": "x" * 1025}, "wrong_length", "password"),
        ({"role": "root"}, "unknown_choice", "role"),
        ({"role": "system"}, "unknown_choice", "role"),
        ({"role": ["admin"]}, "invalid_type", "role"),
        ({"is_active": False}, "unknown_field", "is_active"),
        ({"password_hash": "x"}, "unknown_field", "password_hash"),
        ({"scopes": ["items:read"]}, "unknown_field", "scopes"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, change: dict[str, Any], code: str, field: str
) -> None:
    assert_problem(client.post(USERS, json=ADA | change, headers=make.headers()), 422, code, field)


@pytest.mark.parametrize("role", ["customer", "clerk", "manager"])
def test_only_an_admin_makes_accounts(client: FlaskClient, make: Factory, role: str) -> None:
    assert_problem(client.post(USERS, json=ADA, headers=make.headers(role=role)), 403, "forbidden", None)


@pytest.mark.parametrize(("role", "status"), [("customer", 403), ("clerk", 403), ("manager", 200), ("admin", 200)])
def test_only_managers_and_admins_see_all_accounts(client: FlaskClient, make: Factory, role: str, status: int) -> None:
    assert client.get(USERS, headers=make.headers(role=role)).status_code == status


def test_accounts_are_listed_in_the_order_they_were_made_and_without_secrets(
    client: FlaskClient, make: Factory
) -> None:
    made = [str(make.user().id) for _ in range(3)]

    rows = client.get(USERS, headers=make.headers()).get_json()["data"]

    assert [row["id"] for row in rows][:3] == made
    assert all(set(row) == SHOWN for row in rows)


@pytest.mark.parametrize("role", ["customer", "clerk", "manager", "admin"])
def test_everybody_sees_themselves(client: FlaskClient, make: Factory, role: str) -> None:
    make.user()
    user = make.user(role=role)

    assert client.get(f"{USERS}/me", headers=make.headers(user=user)).get_json()["id"] == str(user.id)
