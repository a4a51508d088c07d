"""API keys over HTTP: made, used, rotated, revoked."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text

from api.api_keys import service
from api.core.scopes import ONLY_FOR_PEOPLE, ROLES
from api.extensions import db
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

KEYS, ME, ITEMS, LEVELS = "/api/v1/api-keys", "/api/v1/users/me", "/api/v1/items", "/api/v1/stock/levels"
TILL = {"name": "till", "scopes": ["items:read", "stock:read"]}
NOBODY = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
SHOWN = {
    "id",
    "user_id",
    "name",
    "prefix",
    "scopes",
    "expires_at",
    "last_used_at",
    "revoked_at",
    "replaces_id",
    "created_at",
}


def test_a_key_does_what_it_was_made_for_and_nothing_else(client: FlaskClient, make: Factory) -> None:
    headers = make.headers(role="manager")
    made = client.post(KEYS, json=TILL, headers=headers)
    key = using(made.get_json())

    assert made.status_code == 201
    assert set(made.get_json()) == SHOWN | {"key"}
    assert re.fullmatch(r"sr_[a-z2-7]{12}_[\w-]{43}", made.get_json()["key"])
    assert client.get(made.headers["Location"], headers=headers).get_json().items() <= made.get_json().items()
    assert [client.get(path, headers=key).status_code for path in (ITEMS, LEVELS)] == [200, 200]
    assert_problem(client.get("/api/v1/orders", headers=key), 403, "forbidden")
    assert_problem(client.post(ITEMS, json={}, headers=key), 403, "forbidden")
    assert client.get(ME, headers=key).get_json()["scopes"] == ["items:read", "stock:read"]


def test_the_owner_is_told_by_mail(client: FlaskClient, make: Factory, session: Session) -> None:
    ada = make.user(email="ada@example.com")

    new_key(client, make.headers(user=ada))

    (job,) = session.execute(text("SELECT args FROM procrastinate_jobs")).scalars()
    assert (job["to"], job["facts"]["what"]) == ("ada@example.com", "an API key was made for it: till")


def test_what_a_key_does_is_its_owners_doing(client: FlaskClient, make: Factory, session: Session) -> None:
    ada = make.user(role="customer")
    headers = make.headers(user=ada)
    made = new_key(client, headers, scopes=["orders:read", "orders:write"])
    item = make.item(stock=5)

    order = client.post(
        "/api/v1/orders", json={"lines": [{"item_id": str(item.id), "quantity": 1}]}, headers=using(made)
    )

    assert order.get_json()["customer_id"] == str(ada.id)
    actor = session.scalars(text("SELECT actor_id FROM events WHERE type = 'order.placed'")).one()
    assert actor == ada.id


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", KEYS),
        ("GET", KEYS),
        ("DELETE", f"{KEYS}/{NOBODY}"),
        ("POST", f"{KEYS}/{NOBODY}/rotate"),
        ("GET", "/api/v1/auth/sessions"),
        ("DELETE", "/api/v1/auth/sessions"),
        ("POST", "/api/v1/auth/reauthenticate"),
        ("POST", "/api/v1/auth/password/change"),
        ("POST", "/api/v1/auth/second-factor"),
        ("PATCH", ME),
    ],
)
def test_a_key_never_manages_the_account_of_its_owner(
    client: FlaskClient, make: Factory, session: Session, method: str, path: str
) -> None:
    made = new_key(client, make.headers(), scopes=["items:read"])
    session.execute(text("UPDATE api_keys SET scopes = '{account,items:read}'"))  # as if a guard had failed

    assert_problem(client.open(path, method=method, json={}, headers=using(made)), 403, "forbidden")


@pytest.mark.parametrize(
    ("role", "scopes", "status", "code", "field"),
    [
        ("clerk", ["items:read", "items:write"], 403, "scope_not_yours", "scopes.1"),
        ("customer", ["orders:all"], 403, "scope_not_yours", "scopes.0"),
        ("manager", ["audit:read"], 403, "scope_not_yours", "scopes.0"),
        ("admin", ["items:read", "account"], 422, "scope_not_for_keys", "scopes.1"),
        ("admin", ["items:everything"], 422, "unknown_choice", "scopes.0"),
        ("admin", [], 422, "wrong_length", "scopes"),
        ("admin", ["items:read"] * 101, 422, "wrong_length", "scopes"),
        ("admin", [1], 422, "invalid_type", "scopes.0"),
        ("admin", "items:read", 422, "invalid_value", "scopes"),
        ("admin", None, 422, "null_not_allowed", "scopes"),
    ],
)
def test_a_key_that_would_be_more_than_its_maker_or_nothing_is_refused(
    client: FlaskClient, make: Factory, role: str, scopes: Any, status: int, code: str, field: str
) -> None:
    answer = client.post(KEYS, json={"name": "till", "scopes": scopes}, headers=make.headers(role=role))

    assert_problem(answer, status, code, field)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, "wrong_length"),
        ({"name": "x" * 101}, "wrong_length"),
        ({"expires_in_days": 0}, "out_of_range"),
        ({"expires_in_days": 3651}, "out_of_range"),
        ({"expires_in_days": "9"}, "invalid_type"),
        ({"user_id": NOBODY}, "unknown_field"),
        ({"key": "sr_x"}, "unknown_field"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expiry_out_of_range"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expiry_out_of_range"),
        ({"expires_at": "2999-01-01T00:00:00Z", "expires_in_days": 9}, "invalid_value"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, change: dict[str, Any], code: str
) -> None:
    assert_problem(client.post(KEYS, json=TILL | change, headers=make.headers()), 422, code)


def test_making_and_rotating_a_key_wants_a_fresh_login(client: FlaskClient, make: Factory, session: Session) -> None:
    headers = make.headers()
    made = new_key(client, headers)
    session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '1 hour'"))

    for path in (KEYS, f"{KEYS}/{made['id']}/rotate"):
        assert_problem(client.post(path, json=TILL, headers=headers), 403, "reauthentication_required")
    assert client.delete(f"{KEYS}/{made['id']}", headers=headers).status_code == 204


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE api_keys SET revoked_at = now()", id="revoked"),
        pytest.param("UPDATE api_keys SET expires_at = now()", id="expired"),
        pytest.param("UPDATE users SET is_active = false", id="its owner is shut out"),
        pytest.param("DELETE FROM api_keys", id="gone"),
        pytest.param("UPDATE api_keys SET secret_hash = sha256('another')", id="another secret"),
    ],
)
def test_a_key_that_is_over_opens_nothing_from_the_next_request_on(
    client: FlaskClient, make: Factory, session: Session, statement: str
) -> None:
    made = new_key(client, make.headers())
    before = client.get(ITEMS, headers=using(made)).status_code

    session.execute(text(statement))

    assert before == 200
    assert_problem(client.get(ITEMS, headers=using(made)), 401, "token_invalid", None)


def test_all_keys_that_do_not_work_are_refused_alike(client: FlaskClient, make: Factory) -> None:
    good = new_key(client, make.headers())["key"]
    other = new_key(client, make.headers())["key"]
    head, prefix, secret = good.split("_", 2)
    bad = [
        f"{head}_{prefix}_{other.split('_', 2)[2]}",
        f"{head}_{'a' * 12}_{secret}",
        f"{head}_{prefix}_{secret[:-1]}",
        f"{head}_{prefix}_{secret}x",
        f"{head}_{prefix}_",
        f"{head}_{prefix.upper()}_{secret}",
        "sr_",
        "sr_" + "a" * 5000,
    ]

    answers = [client.get(ITEMS, headers={"Authorization": f"Bearer {key}", "X-Request-ID": "same"}) for key in bad]

    for answer in answers:
        assert_problem(answer, 401, "token_invalid", None)
    assert len({answer.data for answer in answers}) == 1


def test_keys_from_before_an_account_was_closed_stay_over(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        owner = make.user()
        owner_id, headers, admin = owner.id, make.headers(user=owner), make.headers()
    made = new_key(client, headers)

    for version, is_active in enumerate([False, True], start=1):
        tagged = admin | {"If-Match": f'"{version}"'}
        client.patch(f"/api/v1/users/{owner_id}", json={"is_active": is_active}, headers=tagged)

    assert_problem(client.get(ITEMS, headers=using(made)), 401, "token_invalid")


@pytest.mark.parametrize(("role", "status"), [("customer", 403), ("clerk", 200)])
def test_a_key_loses_what_its_owner_loses_at_the_next_request(
    client: FlaskClient, make: Factory, session: Session, role: str, status: int
) -> None:
    made = new_key(client, make.headers(role="manager"))

    session.execute(text("UPDATE users SET role = :role"), {"role": role})

    assert client.get(ITEMS, headers=using(made)).status_code == 200
    assert client.get(LEVELS, headers=using(made)).status_code == status


def test_a_key_gives_nobody_a_role_that_is_more_than_the_key(client: FlaskClient, make: Factory) -> None:
    made = new_key(client, make.headers(), scopes=["users:write", *sorted(ROLES["customer"] - ONLY_FOR_PEOPLE)])
    body = {"email": "eve@example.com", "name": "Eve", "password": "kettle-mauve-lantern"}

    refused = client.post("/api/v1/users", json=body | {"role": "admin"}, headers=using(made))
    allowed = client.post("/api/v1/users", json=body | {"role": "customer"}, headers=using(made))

    assert_problem(refused, 403, "role_not_yours", "role")
    assert allowed.status_code == 201


def test_a_rotated_key_works_beside_its_successor_for_a_while(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    headers = make.headers()
    old = new_key(client, headers, expires_in_days=30)

    rotated = client.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 60}, headers=headers)

    new = rotated.get_json()
    assert rotated.status_code == 201
    assert (new["replaces_id"], new["scopes"], new["name"]) == (old["id"], old["scopes"], old["name"])
    assert new["expires_at"] == old["expires_at"]
    assert [client.get(ITEMS, headers=using(key)).status_code for key in (old, new)] == [200, 200]
    session.execute(text("UPDATE api_keys SET expires_at = expires_at - interval '61 seconds'"))
    assert [client.get(ITEMS, headers=using(key)).status_code for key in (old, new)] == [401, 200]


def test_rotation_never_makes_a_key_live_longer(client: FlaskClient, make: Factory, session: Session) -> None:
    headers = make.headers()
    old = new_key(client, headers, expires_in_days=1)
    session.execute(text("UPDATE api_keys SET expires_at = now() + interval '10 seconds'"))

    client.post(f"{KEYS}/{old['id']}/rotate", json={}, headers=headers)

    left = session.scalars(text("SELECT count(*) FROM api_keys WHERE expires_at > now() + interval '11 seconds'"))
    assert left.one() == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE api_keys SET revoked_at = now()", "UPDATE api_keys SET expires_at = now()"]
)
def test_a_key_that_is_over_cannot_be_rotated(
    client: FlaskClient, make: Factory, session: Session, statement: str
) -> None:
    headers = make.headers()
    made = new_key(client, headers)
    session.execute(text(statement))

    assert_problem(client.post(f"{KEYS}/{made['id']}/rotate", json={}, headers=headers), 409, "api_key_over", None)


def test_a_key_is_rotated_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    made = new_key(live_app.test_client(), headers)
    request = {"path": f"{KEYS}/{made['id']}/rotate", "method": "POST", "json": {}, "headers": headers}

    answers = at_once(live_app, *[request] * 5)

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 4
    assert_problem(next(each for each in answers if each.status_code == 409), 409, "api_key_replaced", None)


def test_revoking_a_key_twice_is_revoking_it(client: FlaskClient, make: Factory, session: Session) -> None:
    headers = make.headers()
    made = new_key(client, headers)

    first = client.delete(f"{KEYS}/{made['id']}", headers=headers)
    revoked_at = session.scalars(text("SELECT revoked_at FROM api_keys")).one()
    second = client.delete(f"{KEYS}/{made['id']}", headers=headers)

    assert (first.status_code, second.status_code) == (204, 204)
    assert session.scalars(text("SELECT revoked_at FROM api_keys")).one() == revoked_at
    lines = session.scalars(text("SELECT count(*) FROM audit_entries WHERE action = 'api_key.revoked'"))
    assert lines.one() == 1


def test_nobody_has_more_than_fifty_keys_however_many_ask_at_once(
    start: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_KEYS", 3)
    app = start()
    with committed(app) as make:
        headers = make.headers()
    request = {"path": KEYS, "method": "POST", "json": TILL, "headers": headers}

    answers = at_once(app, *[request] * 8)

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
    assert_problem(next(each for each in answers if each.status_code == 409), 409, "too_many_keys", None)


def test_no_secret_is_in_the_database(client: FlaskClient, make: Factory, session: Session) -> None:
    headers = make.headers() | {"Idempotency-Key": "once"}
    made = new_key(client, headers)
    secret = made["key"].split("_", 2)[2]

    tables = session.scalars(text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"))
    for table in tables.all():
        rows = session.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" AS t')).all()  # noqa: S608  # names from the catalogue
        assert not any(secret in row or secret.encode().hex() in row for row in rows), table
    assert session.scalars(text("SELECT secret_hash FROM api_keys")).one() == hashlib.sha256(secret.encode()).digest()


def test_its_use_is_noted_at_most_once_a_minute(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        headers = make.headers()
    made = new_key(client, headers)

    def used() -> list[Any]:
        client.get(ITEMS, headers=using(made))
        with live_app.app_context():
            return list(db.session.scalars(text("SELECT last_used_at FROM api_keys")))

    first, second = used(), used()
    with live_app.app_context():
        db.session.execute(text("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'"))
        db.session.commit()
    third = used()

    assert made["last_used_at"] is None
    assert first == second != [None]
    assert third > first


def test_its_use_is_noted_although_the_request_fails(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        headers = make.headers()
    made = new_key(client, headers)

    assert client.get(LEVELS + "?nonsense=1", headers=using(made)).status_code == 422

    with live_app.app_context():
        assert db.session.scalars(text("SELECT last_used_at FROM api_keys")).one() is not None


def test_noting_its_use_waits_for_nobody(live_app: Flask, database_url: str) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        headers = make.headers()
    made = new_key(client, headers)

    with psycopg.connect(database_url.replace("+psycopg", "")) as other:
        other.execute("SELECT 1 FROM api_keys FOR UPDATE")
        answer = client.get(ITEMS, headers=using(made))

    assert answer.status_code == 200


def test_a_database_that_only_reads_is_no_reason_to_refuse_a_key(live_app: Flask, database_url: str) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    made = new_key(live_app.test_client(), headers)
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(f"ALTER DATABASE {other.info.dbname} SET default_transaction_read_only = on")
    with live_app.app_context():
        db.engine.dispose()

    assert live_app.test_client().get(ITEMS, headers=using(made)).status_code == 200


def new_key(client: FlaskClient, headers: dict[str, str], **facts: object) -> dict[str, Any]:
    answer = client.post(KEYS, json=TILL | facts, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def using(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['key']}"}
