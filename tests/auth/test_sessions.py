"""Logins, seen and ended by their owners and by administrators, over HTTP and at the console."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text

from api.extensions import db
from tests.factories import PASSWORD
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

SESSIONS, TOKEN, ME = "/api/v1/auth/sessions", "/api/v1/auth/token", "/api/v1/users/me"
CONFIRM = "/api/v1/auth/reauthenticate"
NOBODY = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"


def test_one_sees_ones_own_logins_the_newest_first(client: FlaskClient, make: Factory) -> None:
    ada = make.user(role="customer")
    make.headers()
    make.headers(user=ada)
    headers = make.headers(user=ada)

    rows = client.get(SESSIONS, headers=headers).get_json()["data"]

    assert [row["user_id"] for row in rows] == [str(ada.id)] * 2
    assert rows[0]["id"] > rows[1]["id"]
    assert [row["is_current"] for row in rows] == [True, False]
    assert set(rows[0]) == {
        "id",
        "user_id",
        "is_current",
        "address",
        "agent",
        "created_at",
        "refreshed_at",
        "expires_at",
    }


def test_a_login_tells_where_it_was_begun_and_with_what(client: FlaskClient, make: Factory) -> None:
    make.user(email="ada@example.com")
    pair = client.post(
        TOKEN,
        json={"username": "ada@example.com", "password": PASSWORD},
        headers={"User-Agent": "till\N{SNOWMAN}/7 " + "x" * 300},
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
    ).get_json()

    (row,) = client.get(SESSIONS, headers=bearer(pair)).get_json()["data"]

    assert row["address"] == "192.0.2.7"
    assert re.fullmatch(r"till.{1,6}/7 x+", row["agent"])
    assert len(row["agent"]) == 200


@pytest.mark.parametrize("role", ["customer", "clerk", "manager"])
def test_logins_of_others_are_neither_seen_nor_ended(client: FlaskClient, make: Factory, role: str) -> None:
    ada = make.user()
    theirs = make.headers(user=ada)
    (login,) = client.get(SESSIONS, headers=theirs, query_string={"user_id": str(ada.id)}).get_json()["data"]
    headers = make.headers(role=role)

    seen = client.get(SESSIONS, headers=headers, query_string={"user_id": str(ada.id)}).get_json()["data"]
    assert seen == []
    ended = client.delete(f"{SESSIONS}/{login['id']}", headers=headers)

    assert {row["user_id"] for row in seen}.isdisjoint({str(ada.id)})
    assert_problem(ended, 404, "session_not_found", None)
    assert client.get(ME, headers=theirs).status_code == 200


def test_an_administrator_sees_and_ends_logins_of_others(client: FlaskClient, make: Factory) -> None:
    ada = make.user(role="clerk")
    theirs, headers = make.headers(user=ada), make.headers()

    (login,) = client.get(SESSIONS, headers=headers, query_string={"user_id": str(ada.id)}).get_json()["data"]
    everybody = client.get(SESSIONS, headers=headers).get_json()["data"]
    ended = client.delete(f"{SESSIONS}/{login['id']}", headers=headers)

    assert len({row["user_id"] for row in everybody}) == 2
    assert ended.status_code == 204
    assert_problem(client.get(ME, headers=theirs), 401, "token_invalid")
    assert client.get(ME, headers=headers).status_code == 200


def test_one_ends_one_login_and_keeps_the_others(client: FlaskClient, make: Factory) -> None:
    ada = make.user()
    lost, kept = make.headers(user=ada), make.headers(user=ada)
    lost_id = client.get(SESSIONS, headers=kept, query_string={"user_id": str(ada.id)}).get_json()["data"][1]["id"]

    first, second = (client.delete(f"{SESSIONS}/{lost_id}", headers=kept) for _ in range(2))

    assert first.status_code == 204
    assert_problem(second, 404, "session_not_found")
    assert_problem(client.get(ME, headers=lost), 401, "token_invalid")
    assert client.get(ME, headers=kept).status_code == 200


def test_logging_out_everywhere_ends_all_of_ones_own_logins_and_no_others(client: FlaskClient, make: Factory) -> None:
    ada = make.user()
    mine, others = [make.headers(user=ada), make.headers(user=ada)], make.headers()

    answer = client.delete(SESSIONS, headers=mine[0])

    assert answer.status_code == 204
    assert [client.get(ME, headers=headers).status_code for headers in (*mine, others)] == [401, 401, 200]


def test_a_login_that_is_over_is_not_listed(client: FlaskClient, make: Factory, session: Session) -> None:
    ada = make.user()
    make.headers(user=ada)
    session.execute(text("UPDATE auth_sessions SET expires_at = now()"))
    make.headers(user=ada)
    session.execute(text("UPDATE auth_sessions SET ended_at = now() WHERE expires_at > now()"))
    headers = make.headers(user=ada)

    rows = client.get(SESSIONS, headers=headers, query_string={"user_id": str(ada.id)}).get_json()["data"]

    assert len(rows) == 1


def test_of_two_hundred_requests_none_that_begins_after_a_revocation_is_answered(
    live_app: Flask, server: httpx.URL
) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    address = str(server.join(ME))
    with httpx.Client() as http:  # its connections go to both workers
        before = [http.get(address, headers=headers | {"Connection": "close"}).status_code for _ in range(10)]

        with live_app.app_context():
            db.session.execute(text("UPDATE auth_sessions SET ended_at = now()"))
            db.session.commit()

        after = at_once_over_http(address, headers, number=200)

    assert before == [200] * 10
    assert after == Counter({401: 200})


@pytest.mark.parametrize("hint", ["fresh", "old"])
def test_an_old_login_is_fresh_again_once_confirmed(
    client: FlaskClient, make: Factory, session: Session, hint: str
) -> None:
    ada = make.user()
    headers = make.headers(user=ada)
    path = "/api/v1/auth/second-factor"
    if hint == "old":
        session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '15 minutes 1 second'"))
        assert_problem(client.post(path, headers=headers), 403, "reauthentication_required", None)
        wrong = client.post(CONFIRM, json={"password": "wrong"}, headers=headers)
        assert_problem(wrong, 403, "password_wrong", "password")
        assert_problem(client.post(path, headers=headers), 403, "reauthentication_required")
        assert client.post(CONFIRM, json={"password": PASSWORD}, headers=headers).status_code == 204

    assert client.post(path, headers=headers).status_code == 201


def test_guesses_at_a_confirmation_use_up_the_limit_of_the_account(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="3 per minute", login_limit="100 per minute")
    with committed(app) as make:
        headers = make.headers(user=make.user(email="ada@example.com"))
    client = app.test_client()

    answers = [client.post(CONFIRM, json={"password": "wrong"}, headers=headers).status_code for _ in range(5)]

    assert answers == [403] * 3 + [429] * 2


def test_confirming_one_login_makes_no_other_fresh(client: FlaskClient, make: Factory, session: Session) -> None:
    ada = make.user()
    stolen, mine = make.headers(user=ada), make.headers(user=ada)
    session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '1 hour'"))

    client.post(CONFIRM, json={"password": PASSWORD}, headers=mine)

    assert_problem(client.post("/api/v1/auth/second-factor", headers=stolen), 403, "reauthentication_required")


def test_logins_are_listed_and_ended_at_the_console(app: Flask, client: FlaskClient, make: Factory) -> None:
    ada, eve = make.user(email="ada@example.com"), make.user()
    hers = [make.headers(user=ada), make.headers(user=ada)]
    others = make.headers(user=eve)

    rows = run(app, "list", "--user", "Ada@example.com", "--json")
    ended = run(app, "revoke", rows[0]["id"], "--json")
    rest = run(app, "revoke", "--user", "ada@example.com", "--json")

    assert {row["user_id"] for row in rows} == {str(ada.id)}
    assert len(run(app, "list", "--json")) == 1
    assert (ended, rest) == ([{"ended": 1}], [{"ended": 1}])
    assert [client.get(ME, headers=headers).status_code for headers in (*hers, others)] == [401, 401, 200]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["revoke"], "either"),
        (["revoke", NOBODY, "--user", "ada@example.com"], "either"),
        (["revoke", NOBODY], "no such login"),
        (["revoke", "--user", "nobody@example.com"], "no account"),
        (["list", "--user", "nobody@example.com"], "no account"),
        (["revoke", "nonsense"], "not a valid UUID"),
    ],
)
def test_what_cannot_be_done_at_the_console_is_refused_in_a_sentence(
    app: Flask, make: Factory, words: list[str], said: str
) -> None:
    make.headers()

    result = app.test_cli_runner().invoke(args=["sessions", *words])

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def run(app: Flask, *words: str) -> list[dict[str, Any]]:
    result = app.test_cli_runner().invoke(args=["sessions", *words])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.output)
    return rows


def at_once_over_http(address: str, headers: dict[str, str], *, number: int) -> Counter[int]:
    """Ask from sixteen threads, each time on a new connection."""

    def ask(_: int) -> int:
        return httpx.get(address, headers=headers).status_code

    with ThreadPoolExecutor(16) as threads:
        return Counter(threads.map(ask, range(number)))


def bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}
