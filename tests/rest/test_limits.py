"""How often anything may be asked for, and what callers are told about it."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from limits import parse
from limits.storage import RedisStorage

from api.rest.limits import Counters
from tests.harm import disturb
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from werkzeug.test import TestResponse

    from api.embedded import Valkey

ME, ITEMS, NOWHERE = "/api/v1/users/me", "/api/v1/items", "/api/v1/nothing/here"
TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 0.1, "socket_timeout": 0.1}


def ask(app: Flask, path: str = ITEMS, *, address: str = "192.0.2.1", **options: Any) -> TestResponse:
    """Send a request from an address."""
    return app.test_client().open(path, environ_overrides={"REMOTE_ADDR": address}, **options)


def test_a_network_has_so_many_requests_whatever_they_ask_for(start: Callable[..., Flask]) -> None:
    app = start(network_limit="4 per minute")

    answers = [
        ask(app),
        ask(app, NOWHERE),
        ask(app, ITEMS, method="DELETE"),
        ask(app, "/openapi.json"),
        ask(app, NOWHERE),
        ask(app, ITEMS, method="DELETE"),
        ask(app),
    ]

    assert [answer.status_code for answer in answers] == [401, 404, 405, 200, 429, 429, 429]
    for answer in answers[4:]:
        assert_problem(answer, 429, "rate_limited", None)
        assert 59 <= int(answer.headers["Retry-After"]) <= 60
    assert ask(app, address="192.0.2.2").status_code == 401


def test_probes_of_the_platform_are_not_counted(start: Callable[..., Flask]) -> None:
    app = start(network_limit="1 per minute")

    assert [ask(app, "/health").status_code for _ in range(3)] == [200] * 3


def test_an_ipv6_network_has_one_limit_for_all_its_addresses(start: Callable[..., Flask]) -> None:
    app = start(network_limit="2 per minute")

    answers = [ask(app, address=f"2001:db8:1:2::{number}").status_code for number in range(1, 4)]

    assert answers == [401, 401, 429]
    assert ask(app, address="2001:db8:1:3::1").status_code == 401


def test_nobody_gets_another_limit_by_claiming_another_address(start: Callable[..., Flask]) -> None:
    app = start(network_limit="2 per minute", trusted_proxies="10.0.0.0/8")

    claimed = [ask(app, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code for number in range(3)]

    assert claimed == [401, 401, 429]


def test_behind_our_proxy_every_client_has_its_own_limit(start: Callable[..., Flask]) -> None:
    app = start(network_limit="1 per minute", trusted_proxies="10.0.0.0/8")

    def through_proxy(client: str) -> int:
        return ask(app, address="10.0.0.1", headers={"X-Forwarded-For": client}).status_code

    assert [through_proxy("198.51.100.1"), through_proxy("198.51.100.1"), through_proxy("198.51.100.2")] == [
        401,
        429,
        401,
    ]
    assert through_proxy("198.51.100.3, 198.51.100.2") == 429


def test_an_account_has_so_many_requests_from_wherever_they_come(start: Callable[..., Flask]) -> None:
    app = start(account_limit="3 per minute")
    with committed(app) as make:
        headers, other = make.headers(), make.headers()

    answers = [ask(app, ME, address=f"192.0.2.{number}", headers=headers).status_code for number in range(5)]

    assert answers == [200, 200, 200, 429, 429]
    assert ask(app, ME, headers=other).status_code == 200


def test_every_answer_tells_where_one_stands(start: Callable[..., Flask]) -> None:
    app = start(account_limit="5 per minute", network_limit="50 per hour")
    with committed(app) as make:
        headers = make.headers()

    ask(app, ME, headers=headers)
    second, missing = ask(app, ME, headers=headers), ask(app, NOWHERE)

    assert second.headers["RateLimit-Policy"] == '"network";q=50;w=3600, "account";q=5;w=60'
    assert re.fullmatch(r'"network";r=48;t=(3600|3599), "account";r=3;t=(60|59)', second.headers["RateLimit"])
    assert re.fullmatch(r'"network";r=47;t=(3600|3599)', missing.headers["RateLimit"])


def test_windows_of_one_limit_are_told_apart(start: Callable[..., Flask]) -> None:
    app = start(network_limit="5 per hour; 2 per minute")

    answers = [ask(app) for _ in range(3)]

    policy = answers[0].headers["RateLimit-Policy"]
    assert policy == '"network-60";q=2;w=60, "network-3600";q=5;w=3600'
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_what_a_shorter_window_refuses_does_not_use_up_a_longer_one(start: Callable[..., Flask]) -> None:
    app = start(network_limit="3 per hour; 2 per 1 second")

    wait_until(lambda: ask(app).status_code == 429, seconds=5)
    wait_until(lambda: ask(app).status_code == 401, seconds=5)

    assert ask(app).status_code == 429


@pytest.mark.parametrize("amount", [7, 99, 250, 1000])
def test_however_many_processes_and_threads_there_are_no_slot_is_given_twice(valkey: Valkey, amount: int) -> None:
    processes = [Counters(RedisStorage(valkey.url)) for _ in range(2)]
    limit, key = parse(f"{amount} per hour"), str(uuid4())

    def taker(number: int) -> int:
        counters = processes[number % 2]
        return sum(not counters.take("test", limit, key).is_refused for _ in range(amount // 4 + 5))

    with ThreadPoolExecutor(8) as threads:
        taken = sum(threads.map(taker, range(8)))

    assert taken == amount


def test_most_requests_cost_no_round_trip(valkey: Valkey) -> None:
    storage = RedisStorage(valkey.url)
    counters, limit = Counters(storage), parse("10000 per hour")

    standings = [counters.take("test", limit, "ada") for _ in range(150)]

    assert storage.get(limit.key_for("test", "ada")) == 200
    assert [standing.remaining for standing in standings] == list(range(9999, 9849, -1))


def test_the_last_half_second_of_a_window_costs_no_more_than_the_others(valkey: Valkey) -> None:
    storage, limit, key = RedisStorage(valkey.url), parse("10000 per minute"), str(uuid4())
    counters = Counters(storage)
    slot = limit.key_for("network", key)
    counters.take("network", limit, key)
    storage.get_connection().pexpire(storage.prefixed_key(slot), 400)  # type: ignore[attr-defined]  # redis-py's
    another = Counters(storage)

    standings = [another.take("network", limit, key) for _ in range(90)]

    assert not any(standing.is_refused for standing in standings)
    assert storage.get(slot) in {200, 100, 0}  # fewer when the window has ended meanwhile


def test_a_slot_that_is_given_back_can_be_taken_again(valkey: Valkey) -> None:
    counters, limit, key = Counters(RedisStorage(valkey.url)), parse("1 per hour"), str(uuid4())

    first = counters.take("test", limit, key)
    counters.give_back("test", limit, key)
    again, beyond = counters.take("test", limit, key), counters.take("test", limit, key)

    assert [standing.is_refused for standing in (first, again, beyond)] == [False, False, True]


def test_a_slot_of_a_window_that_has_ended_is_not_given_back(valkey: Valkey) -> None:
    counters, limit, key = Counters(RedisStorage(valkey.url)), parse("2 per hour"), str(uuid4())

    for _ in range(5):
        counters.give_back("test", limit, key)
    refused = [counters.take("test", limit, key).is_refused for _ in range(3)]

    assert refused == [False, False, True]


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_without_valkey_each_process_counts_alone_and_nobody_waits(own_valkey: Valkey, how: str) -> None:
    counters = Counters(RedisStorage(own_valkey.url, **TIMEOUTS))
    limit = parse("3 per hour")
    counters.take("test", limit, "ada")

    disturb(own_valkey, how)
    began = time.monotonic()
    refused = [counters.take("test", limit, "ada").is_refused for _ in range(4)]

    assert refused == [False, False, False, True]
    assert time.monotonic() - began < 8  # the client of Redis waits for ten seconds when nobody tells it not to


def test_when_valkey_is_back_all_count_together_again(own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.rest.limits.MUTED_SECONDS", 0.0)
    counters = Counters(RedisStorage(own_valkey.url, **TIMEOUTS))
    limit = parse("3 per hour")
    counters.take("test", limit, "ada")
    disturb(own_valkey, "frozen")
    counters.take("test", limit, "ada")

    os.kill(own_valkey.pid or 0, signal.SIGCONT)
    wait_until(lambda: counters.take("test", limit, "eve").remaining < 2, seconds=5)

    assert counters.take("test", limit, "ada").remaining <= 1


def test_limits_hold_when_many_ask_at_once(start: Callable[..., Flask]) -> None:
    app = start(network_limit="11 per minute")

    answers = at_once(app, *[{"path": ITEMS}] * 24)

    assert sorted(answer.status_code for answer in answers) == [401] * 11 + [429] * 13


@pytest.fixture(autouse=True)
def _counters_of_this_test_only(valkey: Valkey) -> None:
    """Forget what tests before have counted in the shared Valkey."""
    RedisStorage(valkey.url).reset()
