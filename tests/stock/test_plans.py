"""What a page of stock costs does not depend on how much there is, nor on how deep it lies."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.orm import Session

from api import create_app
from api.extensions import db
from api.stock import reading, service
from bench.warehouse import ITEM, PLACE, fill
from tests.conftest import disposing
from tests.statements import explained as plan_of
from tests.statements import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from api.config import Settings
    from api.embedded import Postgres
    from tests.statements import Sender

ITEMS, MOVEMENTS = 6_000, 60_000
BIG = {"items", "stock_levels", "stock_movements"}
MIDDLE, ANYWHERE = UUID(f"{ITEM}-{ITEMS // 2:012x}"), UUID(f"{PLACE}-{1:012x}")
THEN = datetime(2026, 1, 1, tzinfo=UTC)

LEVELS: list[dict[str, Any]] = [
    {},
    {"location_id": ANYWHERE},
    {"item_id": MIDDLE},
    {"sku": "12345B"},
    {"low": True},
    {"as_of": THEN},
    {"as_of": THEN, "location_id": ANYWHERE},
]
LEDGERS: list[dict[str, Any]] = [
    {},
    {"item_id": MIDDLE},
    {"sku": "12345B"},
    {"location_id": ANYWHERE},
    {"kind": "adjustment"},
    {"kind": "count"},
    {"reason": "damaged"},
    {"reference": "DN-1"},
    {"source_id": MIDDLE},
    {"occurred_from": THEN},
    {"occurred_before": THEN},
    {"location_id": ANYWHERE, "occurred_before": THEN},
]


@pytest.mark.parametrize("is_deep", [False, True], ids=["first", "deep"])
@pytest.mark.parametrize("wanted", LEVELS, ids=str)
def test_a_page_of_levels_reads_no_big_table_as_a_whole(
    warehouse: Session, wanted: dict[str, Any], *, is_deep: bool
) -> None:
    with explained() as plans:
        service.levels(warehouse, **wanted).page(warehouse, limit=50, after=[MIDDLE, ANYWHERE] if is_deep else None)

    assert_bounded(plans[-1])


@pytest.mark.parametrize("is_deep", [False, True], ids=["first", "deep"])
@pytest.mark.parametrize("wanted", LEDGERS, ids=str)
def test_a_page_of_the_ledger_reads_no_big_table_as_a_whole(
    warehouse: Session, wanted: dict[str, Any], *, is_deep: bool
) -> None:
    with explained() as plans:
        service.movements(warehouse, **wanted).page(warehouse, limit=50, after=[THEN, MIDDLE] if is_deep else None)

    assert_bounded(plans[-1])


def test_availability_and_verifying_an_item_read_what_is_its_own(warehouse: Session) -> None:
    with explained() as plans:
        service.availability(warehouse, MIDDLE)
        service.verify(warehouse, item_id=MIDDLE)

    for plan in plans:
        assert not BIG & scanned(plan)


def test_a_valuation_reads_a_day_of_the_ledger(warehouse: Session) -> None:
    reading.close_days(warehouse)

    with explained() as plans:
        service.valuation(warehouse, currency="GBP", as_of=THEN)

    assert not BIG & scanned(plans[-1])
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes(plans[-1])) < MOVEMENTS / 20


def assert_bounded(plan: dict[str, Any]) -> None:
    """Check that rows come from indexes, in order, and no more of them than a page has, give or take."""
    assert not BIG & scanned(plan)
    for node in nodes(plan):
        assert node["Actual Rows"] * node["Actual Loops"] <= 600, node["Node Type"]


def scanned(plan: dict[str, Any]) -> set[str]:
    return {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@contextmanager
def explained() -> Iterator[list[dict[str, Any]]]:
    """Collect the plans of the statements that are sent meanwhile, as they were carried out."""
    plans: list[dict[str, Any]] = []

    def explain(sender: Sender, statement: str, parameters: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            plans.append(plan_of(sender, statement, parameters, options="ANALYZE, TIMING off, FORMAT JSON"))

    with watched(explain):
        yield plans


@pytest.fixture(scope="module")
def stocked(postgres: Postgres, app: Flask, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application on a database with a warehouse's year in it."""
    with app.app_context():
        db.engine.dispose()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE warehouse TEMPLATE template_stockroom")
    with psycopg.connect(postgres.url("warehouse")) as connection:
        fill(connection, items=ITEMS, movements=MOVEMENTS)
    with disposing(create_app(make_settings(postgres.url("warehouse")))) as application:
        yield application


@pytest.fixture
def warehouse(stocked: Flask) -> Iterator[Session]:
    with stocked.app_context(), Session(db.engine) as session:
        yield session
        session.rollback()
