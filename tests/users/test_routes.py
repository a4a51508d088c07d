"""Users over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import select, text

from api.audit.models import AuditEntry
from api.core.scopes import ROLES
from api.events.models import Event
from api.extensions import db
from tests.factories import PASSWORD
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.factories import Factory

USERS = "/api/v1/users"
ADA = {"email": "ada@example.com", "name": "Ada Lovelace", "password": PASSWORD, "role": "clerk"}
SHOWN = {"id", "email", "name", "role", "is_active", "version", "created_at"}
FOR_ADMINS = {"email_verified_at", "password_changed_at"}
NOBODY = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"


def test_a_new_user_can_log_in_and_see_themselves(client: FlaskClient, make: Factory) -> None:
    created = client.post(USERS, json=ADA, headers=make.headers())

    pair = client.post("/api/v1/auth/token", json={"username": ADA["email"], "password": PASSWORD}).get_json()
    me = client.get(f"{USERS}/me", headers={"Authorization": f"Bearer {pair['access_token']}"})

    assert (created.status_code, created.headers["ETag"]) == (201, '"1"')
    assert me.get_json() == created.get_json() | {"scopes": sorted(ROLES["clerk"])}
    assert set(me.get_json()) == SHOWN | FOR_ADMINS | {"scopes"}
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


@pytest.mark.parametrize("role", ["customer", "clerk"])
def test_customers_and_clerks_make_no_accounts(client: FlaskClient, make: Factory, role: str) -> None:
    assert_problem(client.post(USERS, json=ADA, headers=make.headers(role=role)), 403, "forbidden", None)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("s3cr3t!", "8 characters"),
        ("password1", "common"),
        ("qwertyuiop", "common"),
        ("ada@example.com", "common"),
        ("Ada Lovelace", "common"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "common"),
    ],
)
def test_a_password_that_would_be_guessed_is_refused(
    client: FlaskClient, make: Factory, password: str, reason: str
) -> None:
    refused = client.post(USERS, json=ADA | {"password": password}, headers=make.headers())

    assert_problem(refused, 422, "password_too_weak", "password")
    assert reason in refused.text


@pytest.mark.parametrize(
    "password", ["kettle-mauve-lantern", "correct horse battery staple " * 4, "\u00e9t\u00e9 jaune 1967 gare"]
)
def test_a_password_may_be_long_and_of_any_characters(client: FlaskClient, make: Factory, password: str) -> None:
    created = client.post(USERS, json=ADA | {"password": password}, headers=make.headers())

    login = client.post("/api/v1/auth/token", json={"username": ADA["email"], "password": password})
    assert (created.status_code, login.status_code) == (201, 200)


@pytest.mark.parametrize(("role", "status"), [("customer", 201), ("clerk", 201), ("manager", 201), ("admin", 403)])
def test_a_manager_makes_accounts_up_to_their_own_role(
    client: FlaskClient, make: Factory, role: str, status: int
) -> None:
    response = client.post(USERS, json=ADA | {"role": role}, headers=make.headers(role="manager"))

    assert response.status_code == status
    if status == 403:
        assert_problem(response, 403, "role_not_yours", "role")


@pytest.mark.parametrize(
    ("present", "change", "code"),
    [
        ("clerk", {"role": "manager"}, None),
        ("clerk", {"role": "admin"}, "role_not_yours"),
        ("admin", {"role": "clerk"}, "role_not_yours"),
        ("admin", {"name": "Nobody"}, "role_not_yours"),
        ("admin", {"is_active": False}, "role_not_yours"),
        ("manager", {"is_active": False}, None),
    ],
)
def test_a_manager_changes_accounts_up_to_their_own_role(
    client: FlaskClient, make: Factory, present: str, change: dict[str, Any], code: str | None
) -> None:
    user = make.user(role=present)

    response = patch(client, user.id, change, make.headers(role="manager"))

    if code is None:
        assert response.status_code == 200
        assert response.get_json().items() >= change.items()
    else:
        assert_problem(response, 403, code, "role")


@pytest.mark.parametrize("change", [{"role": "clerk"}, {"is_active": False}])
def test_nobody_but_an_admin_changes_what_they_themselves_may_do(
    client: FlaskClient, make: Factory, change: dict[str, Any]
) -> None:
    user = make.user(role="manager")

    assert_problem(patch(client, user.id, change, make.headers(user=user)), 403, "own_account")


@pytest.mark.parametrize("change", [{"role": "manager"}, {"is_active": False}])
def test_the_last_administrator_stays(client: FlaskClient, make: Factory, change: dict[str, Any]) -> None:
    admin = make.user()
    make.user().is_active = False
    headers = make.headers(user=admin)

    refused = patch(client, admin.id, change, headers)

    assert_problem(refused, 409, "last_admin", None)
    make.user()
    assert patch(client, admin.id, change, headers).status_code == 200


def test_two_administrators_cannot_demote_each_other(live_app: Flask) -> None:
    with committed(live_app) as make:
        admins = [make.user(), make.user()]
        ids, headers = [admin.id for admin in admins], [make.headers(user=admin) for admin in admins]

    def demoting(who: int, by: int) -> dict[str, Any]:
        path, tag = f"{USERS}/{ids[who]}", {"If-Match": '"1"'}
        return {"path": path, "method": "PATCH", "json": {"role": "clerk"}, "headers": headers[by] | tag}

    answers = at_once(live_app, demoting(0, by=1), demoting(1, by=0))

    assert min(answer.status_code for answer in answers) == 200
    assert {answer.status_code for answer in answers} != {200}
    with live_app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM users WHERE role = 'admin'")) == 1


@pytest.mark.parametrize("change", [{"role": "customer"}, {"is_active": False}])
def test_a_change_counts_at_the_next_request(client: FlaskClient, make: Factory, change: dict[str, Any]) -> None:
    user = make.user(role="clerk")
    headers = make.headers(user=user)
    before = client.get("/api/v1/stock/levels", headers=headers).status_code

    patch(client, user.id, change, make.headers())

    after = client.get("/api/v1/stock/levels", headers=headers)
    assert before == 200
    assert_problem(after, *((403, "forbidden") if "role" in change else (401, "token_invalid")))


def test_logins_from_before_an_account_was_closed_stay_over(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        user = make.user(email="ada@example.com")
        user_id, before, admin = user.id, make.headers(user=user), make.headers()

    for version, is_active in enumerate([False, True], start=1):
        headers = admin | {"If-Match": f'"{version}"'}
        client.patch(f"{USERS}/{user_id}", json={"is_active": is_active}, headers=headers)

    assert_problem(client.get(f"{USERS}/me", headers=before), 401, "token_invalid")
    login = client.post("/api/v1/auth/token", json={"username": "ada@example.com", "password": PASSWORD}).get_json()
    assert client.get(f"{USERS}/me", headers={"Authorization": f"Bearer {login['access_token']}"}).status_code == 200


def test_a_login_while_an_account_is_being_closed_is_over_too(live_app: Flask, database_url: str) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        user = make.user(email="ada@example.com", role="admin")
        user_id, admin = user.id, make.headers()
    path, tag = f"{USERS}/{user_id}", {"If-Match": '"1"'}

    with psycopg.connect(database_url.replace("+psycopg", "")) as other, ThreadPoolExecutor(1) as thread:
        other.execute("SELECT id FROM users WHERE role = 'admin' FOR KEY SHARE")
        other.execute("SELECT id FROM users WHERE role = 'admin' FOR SHARE")
        closing = thread.submit(lambda: client.patch(path, json={"is_active": False}, headers=admin | tag))
        wait_until(lambda: waits_for_a_lock(database_url), seconds=5)
        login = live_app.test_client().post(
            "/api/v1/auth/token", json={"username": "ada@example.com", "password": PASSWORD}
        )
        other.rollback()
        closed = closing.result()
    opened = client.patch(
        f"{USERS}/{user_id}", json={"is_active": True}, headers=admin | {"If-Match": closed.headers["ETag"]}
    )

    assert [answer.status_code for answer in (login, closed, opened)] == [200, 200, 200]
    used = client.get(f"{USERS}/me", headers={"Authorization": f"Bearer {login.get_json()['access_token']}"})
    assert_problem(used, 401, "token_invalid")


def waits_for_a_lock(database_url: str) -> bool:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(connection.execute(query).fetchone()[0])  # type: ignore[index]  # a count has a row


def test_a_change_is_written_into_the_security_log(client: FlaskClient, make: Factory, session: Session) -> None:
    user, admin = make.user(role="clerk"), make.user()

    patch(client, user.id, {"role": "manager", "name": "Ada"}, make.headers(user=admin))

    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "user.updated")).one()
    assert (entry.actor_id, entry.subject_id, entry.outcome) == (admin.id, user.id, "done")
    assert entry.facts == {
        "before": {"role": "clerk", "name": "Somebody"},
        "after": {"role": "manager", "name": "Ada"},
    }
    assert entry.address == "127.0.0.1"


def test_a_change_of_a_stale_copy_is_refused(client: FlaskClient, make: Factory) -> None:
    user, headers = make.user(), make.headers()
    patch(client, user.id, {"name": "Ada"}, headers)

    assert_problem(patch(client, user.id, {"name": "Eve"}, headers), 412, "precondition_failed")
    assert_problem(
        client.patch(f"{USERS}/{user.id}", json={"name": "Eve"}, headers=headers), 428, "precondition_required"
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "required"),
        ({"role": "root"}, "unknown_choice"),
        ({"id": NOBODY}, "unknown_field"),
        ({"version": 9}, "unknown_field"),
        ({"password": PASSWORD}, "unknown_field"),
        ({"email": "eve@example.com"}, "unknown_field"),
        ({"is_admin": True}, "unknown_field"),
        ({"is_active": "yes"}, "invalid_type"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, change: dict[str, Any], code: str
) -> None:
    user = make.user()

    assert_problem(patch(client, user.id, change, make.headers()), 422, code)


def test_somebody_who_is_not_there_is_not_found(client: FlaskClient, make: Factory) -> None:
    make.user()

    assert_problem(client.get(f"{USERS}/{NOBODY}", headers=make.headers()), 404, "user_not_found")
    assert_problem(patch(client, NOBODY, {"name": "Ada"}, make.headers()), 404, "user_not_found")


def test_everybody_changes_their_own_name_and_nothing_else(client: FlaskClient, make: Factory) -> None:
    user = make.user(role="customer")
    headers = make.headers(user=user) | {"If-Match": '"1"'}

    renamed = client.patch(f"{USERS}/me", json={"name": "Ada"}, headers=headers)

    assert (renamed.status_code, renamed.get_json()["name"], renamed.headers["ETag"]) == (200, "Ada", '"2"')
    for field in ({"role": "admin"}, {"is_active": True}, {"scopes": ["users:write"]}, {"email": "eve@example.com"}):
        assert_problem(client.patch(f"{USERS}/me", json=field, headers=headers), 422, "unknown_field")


@pytest.mark.parametrize(("role", "sees"), [("manager", False), ("admin", True)])
def test_how_an_account_could_be_entered_is_for_administrators(
    client: FlaskClient, make: Factory, role: str, *, sees: bool
) -> None:
    user, headers = make.user(), make.headers(role=role)

    one = client.get(f"{USERS}/{user.id}", headers=headers).get_json()
    (*_, listed) = client.get(USERS, headers=headers).get_json()["data"]

    expected = SHOWN | FOR_ADMINS if sees else SHOWN
    assert (set(one), set(listed)) == (expected, expected)
    assert set(client.get(f"{USERS}/me", headers=headers).get_json()) == SHOWN | FOR_ADMINS | {"scopes"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("role=clerk", ["clerk@example.com"]),
        ("is_active=false", ["gone@example.com"]),
        ("email=CLERK@example.com", ["clerk@example.com"]),
        ("role=customer&is_active=true", []),
    ],
)
def test_accounts_are_found_by_what_is_known_about_them(
    client: FlaskClient, make: Factory, query: str, found: list[str]
) -> None:
    make.user(email="clerk@example.com", role="clerk")
    make.user(email="gone@example.com", role="customer").is_active = False

    rows = client.get(f"{USERS}?{query}", headers=make.headers()).get_json()["data"]

    assert [row["email"] for row in rows] == found


@pytest.mark.parametrize(("role", "status"), [("customer", 403), ("clerk", 403), ("manager", 200), ("admin", 200)])
def test_only_managers_and_admins_see_all_accounts(client: FlaskClient, make: Factory, role: str, status: int) -> None:
    assert client.get(USERS, headers=make.headers(role=role)).status_code == status


def test_accounts_are_listed_in_the_order_they_were_made_and_without_secrets(
    client: FlaskClient, make: Factory
) -> None:
    made = [str(make.user().id) for _ in range(3)]

    rows = client.get(USERS, headers=make.headers()).get_json()["data"]

    assert [row["id"] for row in rows][:3] == made
    assert all(set(row) == SHOWN | FOR_ADMINS for row in rows)


@pytest.mark.parametrize("role", ["customer", "clerk", "manager", "admin"])
def test_everybody_sees_themselves(client: FlaskClient, make: Factory, role: str) -> None:
    make.user()
    user = make.user(role=role)

    assert client.get(f"{USERS}/me", headers=make.headers(user=user)).get_json()["id"] == str(user.id)


def patch(client: FlaskClient, user_id: object, change: dict[str, Any], headers: dict[str, str]) -> TestResponse:
    """Change an account that nobody has changed yet."""
    return client.patch(f"{USERS}/{user_id}", json=change, headers=headers | {"If-Match": '"1"'})
