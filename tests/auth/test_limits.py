"""How often a login may be tried."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis
from flask_limiter import Limiter
from sqlalchemy import text

from api import create_app
from api.accounts import tickets
from api.extensions import db, limiter
from api.users import passwords
from tests.conftest import answers as answers_well
from tests.conftest import gunicorn
from tests.factories import PASSWORD
from tests.harm import disturb
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from pytest_mock import MockerFixture
    from werkzeug.test import TestResponse

    from api.config import Settings
    from api.embedded import Postgres, Valkey

TOKEN = "/api/v1/auth/token"
GUESS = {"username": "ada@example.com", "password": "guessed"}
REFRESH = {"refresh_token": "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45.guessed"}


def test_logins_beyond_the_limit_are_refused(start: Callable[..., Flask]) -> None:
    client = start(login_limit="3 per minute").test_client()

    answers = [client.post(TOKEN, json=GUESS) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert_problem(answers[-1], 429, "rate_limited", None)
    assert 59 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_refreshes_beyond_the_limit_are_refused_and_counted_apart(start: Callable[..., Flask]) -> None:
    client = start(refresh_limit="2 per minute").test_client()

    refreshes = [client.post("/api/v1/auth/refresh", json=REFRESH).status_code for _ in range(3)]

    assert refreshes == [401, 401, 429]
    assert client.post(TOKEN, json=GUESS).status_code == 401


def test_nonsense_counts_as_an_attempt(start: Callable[..., Flask]) -> None:
    client = start(login_limit="2 per minute").test_client()

    assert [client.post(TOKEN, json={}).status_code for _ in range(3)] == [422, 422, 429]


def test_what_retry_after_says_is_true(start: Callable[..., Flask]) -> None:
    client = start(login_limit="1 per 3 second").test_client()
    client.post(TOKEN, json=GUESS)
    refused = client.post(TOKEN, json=GUESS)
    promised, began = int(refused.headers["Retry-After"]), time.monotonic()

    wait_until(lambda: client.post(TOKEN, json=GUESS).status_code == 401, seconds=promised + 0.5)

    assert promised - 1.5 <= time.monotonic() - began


def test_of_a_hundred_logins_at_once_exactly_five_passwords_are_looked_at(
    live_app: Flask, server_environment: dict[str, str]
) -> None:
    with committed(live_app) as make:
        make.user(email="ada@example.com")
    with gunicorn(server_environment | {"LOGIN_LIMIT": "5 per minute"}) as (process, url):
        wait_until(lambda: answers_well(url.join("/ready"), process), seconds=60)
        address = str(url.join(TOKEN))
        with ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(lambda _: httpx.post(address, json=GUESS, timeout=30), range(100)))

    with live_app.app_context():
        looks = list(db.session.scalars(text("SELECT action FROM audit_entries WHERE outcome = 'refused'")))
    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 95}
    assert looks == ["login.refused"] * 5


@pytest.mark.parametrize("limit", ["login_limit", "login_account_limit", "login_global_limit"])
def test_no_password_is_looked_at_beyond_any_limit(
    start: Callable[..., Flask], mocker: MockerFixture, limit: str
) -> None:
    app = start(**{"login_account_limit": "1000 per minute", limit: "5 per minute"})
    with committed(app) as make:
        make.user(email="ada@example.com")
    looked_at = mocker.spy(passwords, "verify")

    answers = at_once(app, *[{"path": TOKEN, "method": "POST", "json": GUESS}] * 12)

    assert {answer.status_code for answer in answers} == {401, 429}
    assert looked_at.call_count == 5


@pytest.mark.parametrize(
    ("failures", "statuses"),
    [pytest.param(2, [401, 401, 429, 429], id="for a moment"), pytest.param(1000, [429] * 4, id="all the time")],
)
def test_a_storage_that_fails_for_several_at_once_is_nobodys_error(
    start: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, failures: int, statuses: list[int]
) -> None:
    client = start(login_limit="2 per minute").test_client()
    hit, remaining = limiter.limiter.hit, iter(range(failures))

    def fail(*args: Any, **options: Any) -> bool:
        if next(remaining, None) is None:
            return hit(*args, **options)
        monkeypatch.setattr(limiter, "_storage_dead", True)  # another thread has found out at the same moment
        raise redis.TimeoutError

    monkeypatch.setattr(
        Limiter, "limiter", SimpleNamespace(hit=fail, get_window_stats=limiter.limiter.get_window_stats)
    )
    answers = [client.post(TOKEN, json=GUESS) for _ in range(4)]

    assert [answer.status_code for answer in answers] == statuses


def test_an_account_is_guarded_wherever_the_guesses_come_from(start: Callable[..., Flask]) -> None:
    client = start(login_account_limit="3 per minute").test_client()

    answers = [attempt(client, f"192.0.2.{number}") for number in range(5)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert_problem(answers[-1], 429, "rate_limited", None)
    assert int(answers[-1].headers["Retry-After"]) >= 59


def test_accounts_that_do_not_exist_are_limited_alike(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="3 per minute", login_limit="100 per minute")
    with committed(app) as make:
        make.user(email="ada@example.com")
    client = app.test_client()

    def series(username: str) -> list[tuple[int, bytes, frozenset[str]]]:
        headers = {"X-Request-ID": "same"}
        answers = [client.post(TOKEN, json=GUESS | {"username": username}, headers=headers) for _ in range(5)]
        return [(answer.status_code, answer.data, frozenset(answer.headers.keys())) for answer in answers]

    assert series("ada@example.com") == series("nobody@example.com")


@pytest.mark.parametrize(
    "spelling", ["ADA@Example.COM", " ada@example.com. ", "\N{FULLWIDTH LATIN SMALL LETTER A}da@example.com"]
)
def test_another_spelling_of_an_address_is_no_other_limit(start: Callable[..., Flask], spelling: str) -> None:
    client = start(login_account_limit="1 per minute").test_client()

    answers = [client.post(TOKEN, json=GUESS | {"username": name}) for name in ("ada@example.com", spelling)]

    assert [answer.status_code for answer in answers] == [401, 429]


def test_an_owner_is_not_kept_out_by_somebody_elses_guesses(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="2 per minute; 3 per day")
    with committed(app) as make:
        make.user(email="ada@example.com")
    client = app.test_client()
    right = GUESS | {"password": PASSWORD}
    first = attempt(client, "198.51.100.7", right)

    guesses = [attempt(client, f"192.0.2.{number}").status_code for number in range(4)]

    assert first.status_code == 200
    assert guesses == [401, 401, 429, 429]
    assert attempt(client, "198.51.100.7", right).status_code == 200
    assert attempt(client, "192.0.2.9", right).status_code == 429


def test_right_passwords_do_not_count(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="2 per minute")
    with committed(app) as make:
        make.user(email="ada@example.com")
    client = app.test_client()

    answers = [attempt(client, "192.0.2.1", GUESS | {"password": PASSWORD}).status_code for _ in range(5)]

    assert answers == [200] * 5


def test_right_passwords_do_not_count_however_many_come_at_once(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="3 per minute", login_limit="1000 per minute")
    with committed(app) as make:
        make.user(email="ada@example.com")
    right = GUESS | {"password": PASSWORD}

    at_once(app, *[{"path": TOKEN, "method": "POST", "json": right}] * 12)

    assert attempt(app.test_client(), "198.51.100.7", right).status_code == 200


def test_whoever_reads_the_accounts_mail_is_let_in_again(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="2 per hour", login_limit="1000 per minute")
    with committed(app) as make:
        user = make.user(email="ada@example.com")
        ticket = tickets.add(make.session, tickets.RESET, email="ada@example.com", user_id=user.id, seconds=600)
        token = f"{ticket.id}.{app.extensions['vault'].token(tickets.RESET, ticket.id)}"
    client = app.test_client()
    guesses = [attempt(client, f"192.0.2.{number}").status_code for number in range(3)]

    reset = client.post("/api/v1/auth/password/reset", json={"token": token, "password": "kettle-mauve-lantern"})
    login = attempt(client, "198.51.100.7", GUESS | {"password": "kettle-mauve-lantern"})

    assert guesses == [401, 401, 429]
    assert (reset.status_code, login.status_code) == (204, 200)


def test_one_password_tried_on_many_accounts_meets_a_limit(start: Callable[..., Flask]) -> None:
    client = start(login_global_limit="4 per minute").test_client()

    answers = [
        attempt(client, f"192.0.2.{number}", GUESS | {"username": f"user{number}@example.com"}).status_code
        for number in range(6)
    ]

    assert answers == [401] * 4 + [429] * 2


def test_a_series_of_guesses_is_written_down_once(start: Callable[..., Flask]) -> None:
    app = start(login_account_limit="1 per minute")
    client = app.test_client()

    for _ in range(4):
        client.post(TOKEN, json=GUESS)

    with app.app_context():
        actions = list(db.session.scalars(text("SELECT action FROM audit_entries ORDER BY id")))
    assert actions == ["login.refused", "login.limited"]


def attempt(client: FlaskClient, address: str, body: dict[str, str] = GUESS) -> TestResponse:
    return client.post(TOKEN, json=body, environ_overrides={"REMOTE_ADDR": address})


def test_other_networks_have_limits_of_their_own(start: Callable[..., Flask]) -> None:
    client = start(login_limit="1 per minute").test_client()

    answers = [attempt(client, f"192.0.2.{number}").status_code for number in (1, 1, 2)]

    assert answers == [401, 429, 401]


def test_an_ipv6_network_has_one_limit_for_all_its_addresses(start: Callable[..., Flask]) -> None:
    client = start(login_limit="1 per minute").test_client()

    answers = [attempt(client, f"2001:db8:1:{number}").status_code for number in ("2::1", "2::2", "3::1")]

    assert answers == [401, 429, 401]


def test_nobody_gets_another_limit_by_claiming_another_address(start: Callable[..., Flask]) -> None:
    client = start(login_limit="1 per minute").test_client()

    answers = [
        client.post(TOKEN, json=GUESS, headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code
        for number in range(2)
    ]

    assert answers == [401, 429]


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_without_redis_logins_are_answered_quickly_and_still_limited(
    own_valkey: Valkey, guarded: Flask, how: str
) -> None:
    client = guarded.test_client()
    with committed(guarded) as make:
        make.user(email="ada@example.com")
    first = client.post(TOKEN, json=GUESS)

    disturb(own_valkey, how)
    good = timed(client, GUESS | {"password": PASSWORD})
    answers = [timed(client, GUESS) for _ in range(4)]

    assert first.status_code == 401
    assert good.status_code == 200
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert_problem(answers[-1], 429, "rate_limited", None)


def timed(client: FlaskClient, body: dict[str, str]) -> TestResponse:
    """Try to log in, and insist on an answer before a frozen Redis would be given up without the limits set for it."""
    began = time.monotonic()
    response = client.post(TOKEN, json=body)
    assert time.monotonic() - began < 8  # the client of Redis waits for ten seconds when nobody tells it not to
    return response


@pytest.fixture
def guarded(
    own_valkey: Valkey, start: Callable[..., Flask], make_settings: Callable[..., Settings], postgres: Postgres
) -> Iterator[Flask]:
    """An application that counts in the Valkey that may come to harm."""
    yield start(redis_url=own_valkey.url, login_limit="3 per minute")
    create_app(make_settings(postgres.url("postgres")))  # the limiter is one for all applications: give it back
    limiter._storage_dead = False  # noqa: SLF001  # else it first counts on in memory, until it looks again
