"""The security log over HTTP: what is in it, and that it stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.audit import service
from api.core.caller import Caller
from tests.factories import PASSWORD
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

AUDIT, TOKEN, USERS = "/api/v1/audit", "/api/v1/auth/token", "/api/v1/users"
ADA = {"username": "ada@example.com", "password": PASSWORD}


def test_a_login_is_written_down_with_who_when_and_from_where(client: FlaskClient, make: Factory) -> None:
    ada = make.user(email="ada@example.com")
    headers = {"X-Request-ID": "till-7", "User-Agent": "till/7"}
    client.post(TOKEN, json=ADA, headers=headers, environ_overrides={"REMOTE_ADDR": "2001:db8::7"})

    (entry,) = entries(client, make, "action=login.succeeded&outcome=done", f"actor_id={ada.id}")

    assert entry.pop("occurred_at").endswith("Z")
    assert entry.pop("id")
    assert entry.pop("subject_id")
    assert entry == {
        "action": "login.succeeded",
        "outcome": "done",
        "actor_id": str(ada.id),
        "role": "stranger",
        "session_id": None,
        "api_key_id": None,
        "address": "2001:db8::7",
        "agent": "till/7",
        "request_id": "till-7",
        "facts": {},
    }


def test_a_refused_login_is_written_down_although_it_is_refused(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        ada_id = str(make.user(email="ada@example.com").id)
        headers = make.headers()

    client.post(TOKEN, json=ADA | {"password": "the wrong password"})
    client.post(TOKEN, json=ADA | {"username": "nobody@example.com"})

    rows = client.get(f"{AUDIT}?outcome=refused", headers=headers).get_json()["data"]
    assert [(row["action"], row["subject_id"], row["facts"]["email"]) for row in rows] == [
        ("login.refused", None, "nobody@example.com"),
        ("login.refused", ada_id, "ada@example.com"),
    ]
    assert "the wrong password" not in str(rows)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"path": USERS, "method": "POST", "json": {}}, 403, "forbidden"),
        ({"path": "/api/v1/stock/levels"}, 403, "forbidden"),
        ({"path": "/api/v1/audit"}, 403, "forbidden"),
    ],
)
def test_a_denial_is_written_down(live_app: Flask, request_: dict[str, Any], status: int, code: str) -> None:
    with committed(live_app) as make:
        customer = make.user(role="customer")
        customer_id, headers, admin = str(customer.id), make.headers(user=customer), make.headers()

    answer = live_app.test_client().open(**request_, headers=headers)

    (row,) = live_app.test_client().get(f"{AUDIT}?action=access", headers=admin).get_json()["data"]
    assert answer.status_code == status
    assert (row["action"], row["outcome"], row["actor_id"], row["role"]) == (
        "access.denied",
        "refused",
        customer_id,
        "customer",
    )
    assert row["facts"] == {"code": code, "method": request_.get("method", "GET"), "path": request_["path"]}


def test_a_forged_token_is_written_down_and_a_missing_or_expired_one_is_not(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        admin = make.headers()

    client.get(USERS)
    client.get(USERS, headers={"Authorization": "Bearer a.b.c"})

    (row,) = client.get(f"{AUDIT}?action=access", headers=admin).get_json()["data"]
    assert (row["actor_id"], row["role"], row["facts"]["code"]) == (None, "stranger", "token_invalid")


def test_strangers_cannot_flood_the_log(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        admin = make.headers()

    for _ in range(40):
        client.get(USERS, headers={"Authorization": "Bearer a.b.c"})

    rows = client.get(f"{AUDIT}?action=access&limit=200", headers=admin).get_json()["data"]
    assert len(rows) == 30


def test_what_is_rolled_back_leaves_no_line(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    body = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD, "role": "clerk"}
    client.post(USERS, json=body, headers=headers)
    before = len(entries(client, make, "action=user.created"))

    assert_problem(client.post(USERS, json=body, headers=headers), 409, "email_taken")

    assert len(entries(client, make, "action=user.created")) == before + 1  # the reader's own account


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET outcome = 'done'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ],
)
def test_no_line_is_ever_changed_or_removed(session: Session, statement: str) -> None:
    service.record(session, "user.created", by=Caller.system())

    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(text(statement))


def test_lines_are_found_by_what_is_known_about_them(client: FlaskClient, make: Factory, session: Session) -> None:
    ada = make.user(email="ada@example.com")
    service.record(session, "password.changed", by=Caller.system(), subject_id=ada.id)
    service.record(session, "login_like", by=Caller.system(), outcome="refused")

    assert actions(client, make, "action=password") == ["password.changed"]
    assert actions(client, make, "action=login_like") == ["login_like"]
    assert actions(client, make, "action=loginXlike") == []
    assert actions(client, make, "outcome=refused") == ["login_like"]
    assert actions(client, make, f"subject_id={ada.id}") == ["password.changed", "user.created"]
    assert actions(client, make, "until=2020-01-01T00:00:00Z") == []
    assert "login_like" in actions(client, make, "since=2020-01-01T00:00:00Z")
    assert actions(client, make, "since=8000-01-01T00:00:00Z") == []


@pytest.mark.parametrize("role", ["customer", "clerk", "manager"])
def test_only_administrators_read_it(client: FlaskClient, make: Factory, role: str) -> None:
    assert_problem(client.get(AUDIT, headers=make.headers(role=role)), 403, "forbidden")


@pytest.mark.parametrize("query", ["outcome=maybe", "actor_id=1", "since=yesterday", "nonsense=1"])
def test_a_question_that_makes_no_sense_is_refused(client: FlaskClient, make: Factory, query: str) -> None:
    assert client.get(f"{AUDIT}?{query}", headers=make.headers()).status_code == 422


def entries(client: FlaskClient, make: Factory, *filters: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(f"{AUDIT}?{'&'.join(filters)}", headers=make.headers()).get_json()["data"]
    return rows


def actions(client: FlaskClient, make: Factory, query: str) -> list[str]:
    return [row["action"] for row in entries(client, make, query)]
