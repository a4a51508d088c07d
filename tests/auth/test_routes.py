"""Logging in, staying in, logging out."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.extensions import db
from tests.factories import PASSWORD
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.factories import Factory

TOKEN, REFRESH, LOGOUT, ME = ("/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/users/me")
PASSWORD_OF_ADA = {"username": "ada@example.com", "password": PASSWORD}


@pytest.mark.parametrize("how", ["json", "data"])
def test_a_login_gives_tokens_that_work(client: FlaskClient, make: Factory, how: str) -> None:
    make.user(email="noise@example.com")
    make.user(email="ada@example.com", role="clerk")

    response = client.post(TOKEN, **{how: PASSWORD_OF_ADA})

    pair = response.get_json()
    assert (response.status_code, set(pair)) == (200, {"access_token", "refresh_token", "token_type", "expires_in"})
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 600)
    assert response.headers["Cache-Control"] == "no-store"
    assert client.get(ME, headers=bearer(pair)).get_json()["email"] == "ada@example.com"


def test_the_form_of_swagger_ui_is_understood(client: FlaskClient, make: Factory) -> None:
    make.user(email="ada@example.com")
    form = {"grant_type": "password", "scope": "items:read", "client_id": "", "client_secret": ""}

    assert client.post(TOKEN, data=form | PASSWORD_OF_ADA).status_code == 200


@pytest.mark.parametrize(
    "username",
    [
        "ADA@Example.COM",
        " ada@example.com ",
        "ada@example.com.",
        "\N{FULLWIDTH LATIN SMALL LETTER A}da@example.com",
    ],
)
def test_an_address_is_one_address_however_it_is_written(client: FlaskClient, make: Factory, username: str) -> None:
    make.user(email="ada@example.com")

    assert client.post(TOKEN, json=PASSWORD_OF_ADA | {"username": username}).status_code == 200


def test_nobody_learns_what_was_wrong_with_a_login(client: FlaskClient, make: Factory, session: Session) -> None:
    make.user(email="ada@example.com")
    make.user(email="gone@example.com")
    session.execute(text("UPDATE users SET is_active = false WHERE email = 'gone@example.com'"))
    same_id = {"X-Request-ID": "same"}
    attempts = [
        PASSWORD_OF_ADA | {"password": "wrong"},
        PASSWORD_OF_ADA | {"password": PASSWORD + " "},
        PASSWORD_OF_ADA | {"password": PASSWORD.upper()},
        PASSWORD_OF_ADA | {"username": "nobody@example.com"},
        PASSWORD_OF_ADA | {"username": "gone@example.com"},
    ]

    answers = [client.post(TOKEN, json=attempt, headers=same_id) for attempt in attempts]

    for answer in answers:
        assert_problem(answer, 401, "credentials_invalid", None)
    assert len({answer.data for answer in answers}) == 1
    assert len({frozenset(answer.headers) for answer in answers}) == 1


def test_an_unknown_address_takes_as_long_as_a_wrong_password(client: FlaskClient, make: Factory) -> None:
    make.user(email="ada@example.com")

    def quickest(username: str) -> float:
        body, times = {"username": username, "password": "wrong"}, []
        for _ in range(4):
            began = time.perf_counter()
            client.post(TOKEN, json=body)
            times.append(time.perf_counter() - began)
        return min(times)

    assert quickest("nobody@example.com") > 0.6 * quickest("ada@example.com")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"username": "not an address"}, "invalid_format", "username"),
        ({"username": ""}, "invalid_format", "username"),
        ({"username": "a@" + "b." * 130 + "co"}, "wrong_length", "username"),
        ({"username": "a@b" * 20_000}, "invalid_format", "username"),
        ({"username": 1}, "invalid_type", "username"),
        ({"username": None}, "null_not_allowed", "username"),
        ({"username": "ada\N{ZERO WIDTH SPACE}@example.com"}, "invalid_character", "username"),
        ({"username": "ada@example.com\n"}, "invalid_character", "username"),
        ({"username": "' OR 1=1 --@example.com"}, "invalid_format", "username"),
        ({"password": ""}, "wrong_length", "password"),
        ({"password": "x" * 1025}, "wrong_length", "password"),
        ({"password": "x" * 1_000_000}, "wrong_length", "password"),
        ({"password": 1}, "invalid_type", "password"),
        ({"password": None}, "null_not_allowed", "password"),
        ({"password": [PASSWORD]}, "invalid_type", "password"),
        ({"role": "admin"}, "unknown_field", "role"),
        ({"grant_type": "password"}, "unknown_field", "grant_type"),
    ],
)
def test_a_login_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, change: dict[str, Any], code: str, field: str
) -> None:
    make.user(email="ada@example.com")

    assert_problem(client.post(TOKEN, json=PASSWORD_OF_ADA | change), 422, code, field)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"grant_type": "client_credentials"}, "unknown_choice", "grant_type"),
        ({"nonsense": "1"}, "unknown_field", "nonsense"),
        ({"username": ["ada@example.com", "eve@example.com"]}, "repeated_parameter", "username"),
        ({"password": [PASSWORD, PASSWORD]}, "repeated_parameter", "password"),
    ],
)
def test_a_login_form_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, change: dict[str, Any], code: str, field: str
) -> None:
    make.user(email="ada@example.com")

    assert_problem(client.post(TOKEN, data=PASSWORD_OF_ADA | change), 422, code, field)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/plain", None])
def test_a_login_in_any_other_form_is_refused(client: FlaskClient, content_type: str | None) -> None:
    response = client.post(TOKEN, data=b"username=ada@example.com", content_type=content_type)

    assert_problem(response, 415, "unsupported_media_type")


def test_a_password_is_compared_to_the_last_character(client: FlaskClient, make: Factory) -> None:
    long = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 1023
    make.user(email="ada@example.com", password=long + "a")

    assert client.post(TOKEN, json=PASSWORD_OF_ADA | {"password": long + "a"}).status_code == 200
    assert_problem(client.post(TOKEN, json=PASSWORD_OF_ADA | {"password": long + "b"}), 401, "credentials_invalid")


def test_logging_out_ends_both_tokens_at_once(client: FlaskClient, make: Factory) -> None:
    pair, other = log_in(client, make), log_in(client, make, "eve@example.com")

    assert client.post(LOGOUT, headers=bearer(pair)).status_code == 204

    assert_problem(client.get(ME, headers=bearer(pair)), 401, "token_invalid")
    assert_problem(client.post(LOGOUT, headers=bearer(pair)), 401, "token_invalid")
    assert_problem(refresh(client, pair), 401, "refresh_token_invalid")
    assert client.get(ME, headers=bearer(other)).status_code == 200


def test_logging_out_of_one_login_leaves_ones_others(client: FlaskClient, make: Factory) -> None:
    first = log_in(client, make)
    second = client.post(TOKEN, json=PASSWORD_OF_ADA).get_json()

    client.post(LOGOUT, headers=bearer(first))

    assert client.get(ME, headers=bearer(second)).status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET is_active = false WHERE email = 'ada@example.com'",
        "DELETE FROM users WHERE email = 'ada@example.com'",
        "UPDATE auth_sessions SET expires_at = now() FROM users u WHERE u.id = user_id AND u.email = 'ada@example.com'",
    ],
)
def test_who_is_shut_out_is_refused_at_the_next_request(
    client: FlaskClient, make: Factory, session: Session, statement: str
) -> None:
    pair, other = log_in(client, make), log_in(client, make, "eve@example.com")

    session.execute(text(statement))

    assert_problem(client.get(ME, headers=bearer(pair)), 401, "token_invalid")
    assert_problem(refresh(client, pair), 401, "refresh_token_invalid")
    assert client.get(ME, headers=bearer(other)).status_code == 200


def test_a_new_role_counts_at_the_next_request(client: FlaskClient, make: Factory, session: Session) -> None:
    pair = log_in(client, make)
    before = client.get("/api/v1/users", headers=bearer(pair))

    session.execute(text("UPDATE users SET role = 'customer'"))

    assert before.status_code == 200
    assert_problem(client.get("/api/v1/users", headers=bearer(pair)), 403, "forbidden")


def test_a_refresh_token_gives_the_next_pair(client: FlaskClient, make: Factory) -> None:
    first = log_in(client, make)

    second = refresh(client, first).get_json()
    third = refresh(client, second).get_json()

    assert len({pair["refresh_token"] for pair in (first, second, third)}) == 3
    assert client.get(ME, headers=bearer(third)).get_json()["email"] == "ada@example.com"


def test_a_refresh_token_used_twice_ends_its_login(live_app: Flask) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        make.user(email="ada@example.com")
        make.user(email="eve@example.com")
    first = client.post(TOKEN, json=PASSWORD_OF_ADA).get_json()
    other = client.post(TOKEN, json=PASSWORD_OF_ADA | {"username": "eve@example.com"}).get_json()
    second = refresh(client, first).get_json()
    worked = client.get(ME, headers=bearer(second)).status_code

    reused = refresh(client, first)

    assert worked == 200
    assert_problem(reused, 401, "refresh_reused", None)
    assert_problem(client.get(ME, headers=bearer(second)), 401, "token_invalid")
    assert_problem(client.get(ME, headers=bearer(first)), 401, "token_invalid")
    assert_problem(refresh(client, second), 401, "refresh_token_invalid")
    assert client.get(ME, headers=bearer(other)).status_code == 200


def test_a_refresh_token_used_at_once_by_many_has_one_successor(live_app: Flask) -> None:
    with committed(live_app) as make:
        make.user(email="ada@example.com")
    pair = live_app.test_client().post(TOKEN, json=PASSWORD_OF_ADA).get_json()
    request = {"path": REFRESH, "method": "POST", "json": {"refresh_token": pair["refresh_token"]}}

    answers = at_once(live_app, *[request] * 4)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 3}
    with live_app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM auth_sessions")) == 1


@pytest.mark.parametrize("token", ["nonsense", ".", "a.b", "0" * 200, "UUID.", "UUID.secret", "{UUID}.x"])
def test_what_is_no_refresh_token_is_refused(client: FlaskClient, token: str) -> None:
    token = token.replace("UUID", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45")

    assert_problem(client.post(REFRESH, json={"refresh_token": token}), 401, "refresh_token_invalid", None)


def test_a_refresh_token_with_another_secret_is_refused_and_ends_nothing(client: FlaskClient, make: Factory) -> None:
    pair = log_in(client, make)
    login_id = pair["refresh_token"].split(".")[0]

    guessed = client.post(REFRESH, json={"refresh_token": f"{login_id}.guessed"})

    assert_problem(guessed, 401, "refresh_token_invalid")
    assert refresh(client, pair).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "required"), ({"refresh_token": "x" * 201}, "wrong_length"), ({"refresh_token": 1}, "invalid_type")],
)
def test_a_refresh_that_makes_no_sense_is_refused(client: FlaskClient, body: dict[str, Any], code: str) -> None:
    assert_problem(client.post(REFRESH, json=body), 422, code, "refresh_token")


def test_secrets_are_kept_as_hashes_only(client: FlaskClient, make: Factory, session: Session) -> None:
    pair = log_in(client, make)

    (login,) = session.execute(text("SELECT CAST(auth_sessions AS text) AS row FROM auth_sessions")).scalars()
    (user,) = session.execute(text("SELECT CAST(users AS text) AS row FROM users")).scalars()

    assert pair["refresh_token"].split(".")[1] not in login
    assert PASSWORD not in user
    assert "$argon2id$" in user


def log_in(client: FlaskClient, make: Factory, email: str = "ada@example.com") -> dict[str, str]:
    make.user(email=email)
    pair: dict[str, str] = client.post(TOKEN, json=PASSWORD_OF_ADA | {"username": email}).get_json()
    return pair


def refresh(client: FlaskClient, pair: dict[str, str]) -> TestResponse:
    return client.post(REFRESH, json={"refresh_token": pair["refresh_token"]})


def bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}
