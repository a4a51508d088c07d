"""The second factor over HTTP: set up, asked for, lost, switched off."""

from __future__ import annotations

import hmac
import re
import time
from base64 import b32decode
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.extensions import db
from tests.factories import PASSWORD
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.factories import Factory

FACTOR, TOKEN = "/api/v1/auth/second-factor", "/api/v1/auth/token"
ADA = {"username": "ada@example.com", "password": PASSWORD}


def test_an_account_without_one_is_asked_for_no_code(client: FlaskClient, make: Factory) -> None:
    ada = make.user(email="ada@example.com")

    shown = client.get(FACTOR, headers=make.headers(user=ada)).get_json()

    assert shown == {"is_on": False, "recovery_codes_left": 0}
    assert client.post(TOKEN, json=ADA).status_code == 200


def test_it_is_on_once_the_authenticator_has_shown_a_code(client: FlaskClient, make: Factory) -> None:
    ada = make.user(email="ada@example.com")
    headers = make.headers(user=ada)

    begun = client.post(FACTOR, headers=headers)
    secret = begun.get_json()["secret"]
    before = client.post(TOKEN, json=ADA).status_code
    wrong = client.post(f"{FACTOR}/confirm", json={"otp": code(secret, steps=50)}, headers=headers)
    right = client.post(f"{FACTOR}/confirm", json={"otp": code(secret)}, headers=headers)

    assert begun.status_code == 201
    assert begun.get_json()["uri"].startswith("otpauth://totp/Stockroom:ada%40example.com?")
    assert f"secret={secret}" in begun.get_json()["uri"]
    assert before == 200
    assert_problem(wrong, 422, "code_wrong", "otp")
    codes = right.get_json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", each) for each in codes)
    assert client.get(FACTOR, headers=headers).get_json() == {"is_on": True, "recovery_codes_left": 10}


def test_a_login_needs_password_and_code(client: FlaskClient, make: Factory) -> None:
    secret, _, _ = switched_on(client, make)

    without = client.post(TOKEN, json=ADA)
    wrong = client.post(TOKEN, json=ADA | {"otp": code(secret, steps=50)})
    wrong_password = client.post(TOKEN, json=ADA | {"password": "wrong", "otp": code(secret, steps=1)})
    right = client.post(TOKEN, data=ADA | {"otp": code(secret, steps=1)})

    assert_problem(without, 401, "otp_required", "otp")
    assert_problem(wrong, 401, "otp_invalid", "otp")
    assert_problem(wrong_password, 401, "credentials_invalid", None)
    assert right.status_code == 200


@pytest.mark.parametrize("otp", ["", "000000000", "abcdef", "\N{ARABIC-INDIC DIGIT ONE}" * 6, "12345", "-12345", " "])
def test_what_is_no_code_opens_nothing(client: FlaskClient, make: Factory, otp: str) -> None:
    switched_on(client, make)

    assert client.post(TOKEN, json=ADA | {"otp": otp}).status_code in {401, 422}


@pytest.mark.parametrize(("steps", "status"), [(-3, 401), (1, 200), (3, 401)])
def test_a_clock_may_be_half_a_minute_off(client: FlaskClient, make: Factory, steps: int, status: int) -> None:
    secret, _, _ = switched_on(client, make)

    assert client.post(TOKEN, json=ADA | {"otp": code(secret, steps=steps)}).status_code == status


def test_a_code_is_good_once(client: FlaskClient, make: Factory) -> None:
    secret, _, used = switched_on(client, make)
    later = code(secret, steps=1)

    answers = [client.post(TOKEN, json=ADA | {"otp": otp}) for otp in (used, later, later, used)]

    assert [answer.status_code for answer in answers] == [401, 200, 401, 401]
    assert_problem(answers[2], 401, "otp_invalid")


def test_of_ten_logins_at_once_with_one_code_one_succeeds(start: Callable[..., Flask]) -> None:
    app = start(login_limit="100 per minute", login_account_limit="100 per minute")
    with committed(app) as make:
        headers = make.headers(user=make.user(email="ada@example.com"))
    secret = switch_on(app.test_client(), headers)[0]
    request = {"path": TOKEN, "method": "POST", "json": ADA | {"otp": code(secret, steps=1)}}

    answers = at_once(app, *[request] * 10)

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


def test_a_recovery_code_is_good_once(client: FlaskClient, make: Factory, session: Session) -> None:
    _, codes, _ = switched_on(client, make)
    spoken = codes[0].upper().replace("-", "")

    answers = [client.post(TOKEN, json=ADA | {"otp": otp}).status_code for otp in (spoken, codes[0], codes[1])]

    assert answers == [200, 401, 200]
    lines = session.scalars(text("SELECT facts->>'left' FROM audit_entries WHERE action = 'recovery_code.used'"))
    assert sorted(lines) == ["8", "9"]


def test_recovery_codes_of_somebody_else_are_no_codes(client: FlaskClient, make: Factory) -> None:
    _, codes, _ = switched_on(client, make)
    eve = make.user(email="eve@example.com")
    switch_on(client, make.headers(user=eve))

    answer = client.post(TOKEN, json=ADA | {"username": "eve@example.com", "otp": codes[0]})

    assert_problem(answer, 401, "otp_invalid")


def test_new_recovery_codes_replace_the_earlier_ones(client: FlaskClient, make: Factory) -> None:
    _, old, _ = switched_on(client, make)
    headers = headers_of_ada(client, make, old[0])

    new = client.post(f"{FACTOR}/recovery-codes", headers=headers).get_json()["recovery_codes"]

    assert set(new).isdisjoint(old)
    assert client.post(TOKEN, json=ADA | {"otp": old[1]}).status_code == 401
    assert client.post(TOKEN, json=ADA | {"otp": new[1]}).status_code == 200


def test_switched_off_it_asks_for_nothing_and_its_codes_are_gone(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    _, codes, _ = switched_on(client, make)
    headers = headers_of_ada(client, make, codes[0])

    assert client.delete(FACTOR, headers=headers).status_code == 204

    assert client.post(TOKEN, json=ADA).status_code == 200
    assert session.scalars(text("SELECT count(*) FROM recovery_codes")).one() == 0
    assert_problem(client.delete(FACTOR, headers=headers), 409, "second_factor_off")


def test_the_owner_is_told_by_mail(client: FlaskClient, make: Factory, session: Session) -> None:
    _, codes, _ = switched_on(client, make)
    headers = headers_of_ada(client, make, codes[0])
    client.post(f"{FACTOR}/recovery-codes", headers=headers)
    client.delete(FACTOR, headers=headers)

    jobs = session.execute(text("SELECT args FROM procrastinate_jobs ORDER BY id")).scalars()
    told = [(job["to"], job["facts"]["what"]) for job in jobs]
    assert told == [
        ("ada@example.com", "its second factor was switched on"),
        ("ada@example.com", "a recovery code was used to log in; 9 are left"),
        ("ada@example.com", "its recovery codes were renewed"),
        ("ada@example.com", "its second factor was switched off"),
    ]


def test_what_does_not_fit_is_refused(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()

    assert_problem(client.post(f"{FACTOR}/confirm", json={"otp": "123456"}, headers=headers), 409, "second_factor_off")
    assert_problem(client.post(f"{FACTOR}/recovery-codes", headers=headers), 409, "second_factor_off")
    assert_problem(client.delete(FACTOR, headers=headers), 409, "second_factor_off")
    client.post(FACTOR, headers=headers)
    assert_problem(client.delete(FACTOR, headers=headers), 409, "second_factor_off")
    switch_on(client, headers)
    assert_problem(client.post(FACTOR, headers=headers), 409, "second_factor_on")
    assert_problem(client.post(f"{FACTOR}/confirm", json={"otp": "123456"}, headers=headers), 409, "second_factor_on")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", FACTOR), ("DELETE", FACTOR), ("POST", f"{FACTOR}/confirm"), ("POST", f"{FACTOR}/recovery-codes")],
)
def test_every_change_wants_a_fresh_login(
    client: FlaskClient, make: Factory, session: Session, method: str, path: str
) -> None:
    headers = make.headers()
    session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '1 hour'"))

    answer = client.open(path, method=method, headers=headers, json={"otp": "123456"} if "confirm" in path else None)

    assert_problem(answer, 403, "reauthentication_required")


def test_an_old_login_with_a_second_factor_is_confirmed_with_both(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    _, codes, _ = switched_on(client, make)
    headers = headers_of_ada(client, make, codes[0])
    session.execute(text("UPDATE auth_sessions SET authenticated_at = now() - interval '1 hour'"))

    def confirm(**otp: str) -> TestResponse:
        return client.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD} | otp, headers=headers)

    assert_problem(confirm(), 401, "otp_required")
    assert_problem(confirm(otp="000000"), 401, "otp_invalid")
    assert confirm(otp=codes[1]).status_code == 204
    assert client.delete(FACTOR, headers=headers).status_code == 204


def test_wrong_codes_use_up_the_limit_of_the_account(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="3 per minute", login_limit="100 per minute")
    with committed(app) as make:
        headers = make.headers(user=make.user(email="ada@example.com"))
    client = app.test_client()
    switch_on(client, headers)

    asked = [client.post(TOKEN, json=ADA).status_code for _ in range(5)]
    guessed = [client.post(TOKEN, json=ADA | {"otp": f"00000{number}"}).status_code for number in range(5)]

    assert asked == [401] * 5
    assert guessed == [401] * 3 + [429] * 2


def test_neither_secret_nor_codes_can_be_read_in_the_database(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    secret, codes, _ = switched_on(client, make)
    raw = b32decode(secret + "=" * (-len(secret) % 8))

    for table in ("second_factors", "recovery_codes", "audit_entries", "users"):
        rows = "".join(session.scalars(text(f"SELECT CAST(t AS text) FROM {table} AS t")))  # noqa: S608  # four names
        for kept in (secret, raw.hex(), *codes, *(each.replace("-", "").encode().hex() for each in codes)):
            assert kept not in rows


def test_under_another_secret_key_only_recovery_codes_work(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    secret, codes, _ = switched_on(client, make)
    session.execute(text("UPDATE second_factors SET secret = 'made under another key'"))

    assert_problem(client.post(TOKEN, json=ADA | {"otp": code(secret, steps=1)}), 401, "otp_invalid")
    assert client.post(TOKEN, json=ADA | {"otp": codes[0]}).status_code == 200


def test_somebody_who_has_lost_everything_is_let_in_from_the_console(
    app: Flask, client: FlaskClient, make: Factory
) -> None:
    switched_on(client, make)

    result = app.test_cli_runner().invoke(args=["users", "second-factor-off", "Ada@example.com", "--json"])
    again = app.test_cli_runner().invoke(args=["users", "second-factor-off", "ada@example.com"])
    nobody = app.test_cli_runner().invoke(args=["users", "second-factor-off", "nobody@example.com"])

    assert result.exit_code == 0, result.output
    assert client.post(TOKEN, json=ADA).status_code == 200
    assert (again.exit_code, nobody.exit_code) == (2, 2)
    assert "no account" in nobody.output


@pytest.mark.parametrize("what", ["begin", "renew"])
def test_what_is_asked_twice_at_once_is_done_as_if_one_after_the_other(live_app: Flask, what: str) -> None:
    with committed(live_app) as make:
        headers = make.headers(user=make.user(email="ada@example.com"))
    request = {"path": FACTOR, "method": "POST", "headers": headers}
    if what == "renew":
        switch_on(live_app.test_client(), headers)
        request["path"] = f"{FACTOR}/recovery-codes"

    answers = at_once(live_app, *[request] * 6)

    assert {answer.status_code for answer in answers} == {201 if what == "begin" else 200}
    with live_app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM second_factors")) == 1
        assert db.session.scalar(text("SELECT count(*) FROM recovery_codes")) == (0 if what == "begin" else 10)


def code(secret: str, *, steps: int = 0) -> str:
    """Compute a code as RFC 6238 describes it, so many half minutes from now."""
    key = b32decode(secret + "=" * (-len(secret) % 8))
    counter = (int(time.time()) // 30 + steps).to_bytes(8, "big")
    digest = hmac.digest(key, counter, "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def switch_on(client: FlaskClient, headers: dict[str, str]) -> tuple[str, list[str], str]:
    """Set a factor up; tells its secret, the recovery codes and the code that was used."""
    secret = client.post(FACTOR, headers=headers).get_json()["secret"]
    otp = code(secret)
    answer = client.post(f"{FACTOR}/confirm", json={"otp": otp}, headers=headers)
    assert answer.status_code == 200, answer.text
    return secret, answer.get_json()["recovery_codes"], otp


def switched_on(client: FlaskClient, make: Factory) -> tuple[str, list[str], str]:
    """Make an account that has a second factor."""
    return switch_on(client, make.headers(user=make.user(email="ada@example.com")))


def headers_of_ada(client: FlaskClient, make: Factory, otp: str) -> dict[str, Any]:
    """Log in with a code."""
    make.user()
    pair = client.post(TOKEN, json=ADA | {"otp": otp}).get_json()
    return {"Authorization": f"Bearer {pair['access_token']}"}
