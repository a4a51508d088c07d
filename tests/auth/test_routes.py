"""Logging in, staying in, logging out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.factories import PASSWORD
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

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
    told = [{name: value for name, value in answer.headers if name != "RateLimit"} for answer in answers]
    assert told == told[:1] * len(answers)
    policies = {answer.headers["RateLimit-Policy"] for answer in answers}
    assert policies == {'"network";q=100000;w=60, "attempts";q=10;w=60'}


def test_an_unknown_address_takes_as_long_as_a_wrong_password(start: Callable[..., Flask]) -> None:
    app = start(login_limit="1000 per minute", login_account_limit="1000 per minute")
    with committed(app) as make:
        make.user(email="ada@example.com")
        make.user(email="gone@example.com").is_active = False
    client = app.test_client()
    times: dict[str, list[float]] = {"ada@example.com": [], "gone@example.com": [], "nobody@example.com": []}

    for _ in range(40):
        for username, taken in times.items():  # in turn, so that a busy moment hits all of them
            began = time.perf_counter()
            client.post(TOKEN, json={"username": username, "password": "wrong"})
            taken.append(time.perf_counter() - began)

    for username in ("gone@example.com", "nobody@example.com"):
        wins = sum(mine < other for mine in times[username] for other in times["ada@example.com"]) / 40**2
        assert 0.2 < wins < 0.8, username  # the Mann-Whitney statistic: 0.5 when nothing tells the two apart


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
        ({"password": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 513}, "wrong_length", "password"),
        ({"otp": "1" * 41}, "wrong_length", "otp"),
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
    long = PASSWORD + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 497
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


@pytest.mark.parametrize("token", ["nonsense", ".", "a.b", "0" * 200, "UUID.", "UUID.secret", "{UUID}.x"])
def test_what_is_no_refresh_token_is_refused(client: FlaskClient, token: str) -> None:
    token = token.replace("UUID", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45")

    assert_problem(client.post(REFRESH, json={"refresh_token": token}), 401, "refresh_token_invalid", None)


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "required"), ({"refresh_token": "x" * 201}, "wrong_length"), ({"refresh_token": 1}, "invalid_type")],
)
def test_a_refresh_that_makes_no_sense_is_refused(client: FlaskClient, body: dict[str, Any], code: str) -> None:
    assert_problem(client.post(REFRESH, json=body), 422, code, "refresh_token")


def test_no_token_and_no_password_is_in_the_database(client: FlaskClient, make: Factory, session: Session) -> None:
    pair = log_in(client, make)

    (login,) = session.execute(text("SELECT CAST(auth_sessions AS text) AS row FROM auth_sessions")).scalars()
    (user,) = session.execute(text("SELECT CAST(users AS text) AS row FROM users")).scalars()
    log = " ".join(session.execute(text("SELECT CAST(audit_entries AS text) FROM audit_entries")).scalars())

    for kept in (login, user, log):
        assert pair["refresh_token"].split(".")[2] not in kept
        assert pair["access_token"].split(".")[2] not in kept
        assert PASSWORD not in kept
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in user


def log_in(client: FlaskClient, make: Factory, email: str = "ada@example.com") -> dict[str, str]:
    make.user(email=email)
    pair: dict[str, str] = client.post(TOKEN, json=PASSWORD_OF_ADA | {"username": email}).get_json()
    return pair


def refresh(client: FlaskClient, pair: dict[str, str]) -> TestResponse:
    return client.post(REFRESH, json={"refresh_token": pair["refresh_token"]})


def bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}
