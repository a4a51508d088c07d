"""Whether the installation says truly how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api import create_app
from api.extensions import limiter
from tests.conftest import disposing
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from api.config import Settings
    from api.embedded import Postgres


def test_a_living_process_says_so(client: FlaskClient) -> None:
    response = client.get("/health")

    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_a_process_that_has_all_it_needs_is_ready(live_app: Flask) -> None:
    response = live_app.test_client().get("/ready")

    assert (response.status_code, response.get_json()) == (200, {"status": "ready", "checks": ["database", "redis"]})


def test_where_no_redis_is_configured_none_is_needed(start: Callable[..., Flask]) -> None:
    assert start(redis_url=None).test_client().get("/ready").get_json()["checks"] == ["database"]


def test_a_process_without_a_database_lives_and_is_not_ready(make_settings: Callable[..., Settings]) -> None:
    with disposing(create_app(make_settings("postgresql://nobody@127.0.0.1:1/nowhere"))) as app:
        client = app.test_client()

        details = assert_problem(client.get("/ready"), 503, "not_ready", None)

        assert [problem["code"] for problem in details] == ["database_not_ready"]
        assert client.get("/health").status_code == 200


def test_a_database_that_is_behind_is_not_ready(live_app: Flask) -> None:
    with committed(live_app) as make:
        make.session.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    details = assert_problem(live_app.test_client().get("/ready"), 503, "not_ready", None)

    assert [problem["code"] for problem in details] == ["migrations_not_ready"]


def test_a_redis_that_is_away_is_named(start: Callable[..., Flask]) -> None:
    client = start(redis_url="redis://127.0.0.1:1/0").test_client()

    details = assert_problem(client.get("/ready"), 503, "not_ready", None)

    assert [problem["code"] for problem in details] == ["redis_not_ready"]


def test_everything_that_is_missing_is_named_at_once(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings("postgresql://nobody@127.0.0.1:1/nowhere", redis_url="redis://127.0.0.1:1/0")
    with disposing(create_app(settings)) as app:
        details = assert_problem(app.test_client().get("/ready"), 503, "not_ready", None)

    assert [problem["code"] for problem in details] == ["database_not_ready", "redis_not_ready"]


def test_readiness_tells_strangers_no_secret(start: Callable[..., Flask]) -> None:
    client = start(redis_url="redis://:canary@127.0.0.1:1/0").test_client()

    assert "canary" not in client.get("/ready").text


@pytest.fixture(autouse=True)
def _limiter_as_before(make_settings: Callable[..., Settings], postgres: Postgres) -> Iterator[None]:
    """The limiter is one for all applications: give it its storage back."""
    yield
    create_app(make_settings(postgres.url("postgres")))
    limiter._storage_dead = False  # noqa: SLF001  # it has no other switch
