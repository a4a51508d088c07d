"""The way from nothing to the newest schema, and back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import flask_migrate
import psycopg
import pytest
from psycopg import sql

from api import create_app
from api.extensions import MIGRATIONS
from tests.conftest import disposing
from tests.live import committed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from api.config import Settings
    from api.embedded import Postgres

LEFT_BEHIND = {"alembic_version"}
_databases = count(1)


def test_the_schema_can_be_built_taken_down_and_built_again(empty_app: Flask, empty_url: str) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade()
        built = everything_in(empty_url)
        flask_migrate.downgrade(revision="base")
        taken_down = everything_in(empty_url)
        flask_migrate.upgrade()

    assert built["relations"] >= {"items", "orders", "stock_movements", "integrity", "procrastinate_jobs"}
    assert taken_down == {"relations": LEFT_BEHIND, "functions": set(), "types": set()}
    assert everything_in(empty_url) == built


def test_every_single_step_can_be_taken_back(empty_app: Flask, empty_url: str) -> None:
    steps = len(list((MIGRATIONS / "versions").glob("*.py")))
    with empty_app.app_context():
        for _ in range(steps):
            before = everything_in(empty_url)
            flask_migrate.upgrade(revision="+1")
            flask_migrate.downgrade(revision="-1")
            assert everything_in(empty_url)["relations"] == before["relations"] | LEFT_BEHIND
            flask_migrate.upgrade(revision="+1")


def test_building_what_is_built_changes_nothing(live_app: Flask, database_url: str) -> None:
    before = everything_in(plain(database_url))

    with live_app.app_context():
        flask_migrate.upgrade()

    assert everything_in(plain(database_url)) == before


def test_models_and_migrations_agree(live_app: Flask) -> None:
    with live_app.app_context():
        flask_migrate.check()


def test_there_is_one_newest_revision(live_app: Flask, database_url: str) -> None:
    with psycopg.connect(plain(database_url)) as connection:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()

    assert [row[0] for row in rows] == [max(path.name[:4] for path in (MIGRATIONS / "versions").glob("*.py"))]
    assert (MIGRATIONS / ".current-alembic-head").read_text("utf-8").split() == [rows[0][0]]
    assert live_app.test_client().get("/ready").status_code == 200


def test_a_second_migration_waits_for_the_first_however_long(
    database_url: str, make_settings: Callable[..., Settings]
) -> None:
    waits = "SELECT max(now() - query_start) > '300 ms' FROM pg_stat_activity WHERE wait_event = 'advisory'"
    impatient = create_app(make_settings(database_url, database_lock_timeout_ms=50))

    def migrate() -> None:
        with impatient.app_context():
            flask_migrate.upgrade()

    with disposing(impatient), psycopg.connect(plain(database_url), autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(5301977)")
        with ThreadPoolExecutor(1) as threads:
            second = threads.submit(migrate)
            wait_until(lambda: first.execute(waits).fetchone() == (True,), seconds=20)
            first.execute("SELECT pg_advisory_unlock(5301977)")
            second.result(timeout=20)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stock_movements SET on_hand_change = on_hand_change + 1",
        "UPDATE stock_movements SET reason = 'never mind' WHERE false",
        "DELETE FROM stock_movements",
        "TRUNCATE stock_movements",
        "TRUNCATE stock_movements CASCADE",
        "TRUNCATE items CASCADE",
        "INSERT INTO stock_movements SELECT * FROM stock_movements ON CONFLICT (id) DO UPDATE SET reason = 'x'",
    ],
)
def test_the_ledger_cannot_be_rewritten(live_app: Flask, database_url: str, statement: str) -> None:
    with committed(live_app) as make:
        make.item(stock=5)

    with psycopg.connect(plain(database_url)) as connection:
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(statement.encode())
        connection.rollback()
        lines = connection.execute("SELECT on_hand_change, reason FROM stock_movements").fetchall()

    assert lines == [(5, None)]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE stock_levels SET on_hand = -1, reserved = 0", "ck_stock_levels_on_hand_not_negative"),
        ("UPDATE stock_levels SET reserved = on_hand + 1", "ck_stock_levels_reserved_within_on_hand"),
        ("UPDATE stock_levels SET reserved = -1", "ck_stock_levels_reserved_within_on_hand"),
        ("UPDATE items SET unit_price = -0.0001", "ck_items_unit_price_not_negative"),
        ("UPDATE items SET unit = 'kg'", "ck_items_unit_known"),
        ("UPDATE users SET role = 'root'", "ck_users_role_known"),
        ("UPDATE locations SET code = ''", "ck_locations_code_given"),
    ],
)
def test_the_database_guards_the_rules_by_itself(
    live_app: Flask, database_url: str, statement: str, constraint: str
) -> None:
    with committed(live_app) as make:
        make.item(stock=5)
        make.user()

    with psycopg.connect(plain(database_url)) as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute(statement.encode())

    assert refusal.value.diag.constraint_name == constraint


def everything_in(url: str) -> dict[str, set[str]]:
    """Name all that migrations make in a database."""
    queries = {
        "relations": "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = {}",
        "functions": "SELECT proname FROM pg_proc WHERE pronamespace = {}",
        "types": "SELECT typname FROM pg_type WHERE typtype IN ('e', 'd') AND typnamespace = {}",
    }
    ours = "'public'::regnamespace"
    with psycopg.connect(url) as connection:
        return {
            kind: {row[0] for row in connection.execute(query.format(ours).encode())} for kind, query in queries.items()
        }


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(_databases)}"
    with psycopg.connect(plain(postgres.url("postgres")), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield plain(postgres.url(name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_app(empty_url: str, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application on a database with nothing in it."""
    with disposing(create_app(make_settings(empty_url))) as app:
        yield app
