"""What a hot request may cost: statements, round trips, plans, Python calls and bytes, which are the same everywhere.

How long that takes depends on the machine, and is measured in `bench/`.
"""

from __future__ import annotations

import cProfile
import pstats
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.extensions import db
from tests.live import committed
from tests.statements import batches, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    type Ask = Callable[[], TestResponse]

ITEMS = 50
WARM_UP = 16
"""Requests before one is counted: a statement is prepared at the sixth time, and its plan kept five times later."""

SLACK = 1.1
"""Libraries may grow a little before somebody is asked to look."""

COSTS = {
    "order of 3 lines": (8, 5, 5300),
    "order of 24 lines": (8, 5, 15_400),
    "list 50 items": (2, 2, 3480),
    "list 50 levels": (2, 2, 2850),
    "show an item": (2, 2, 2210),
    "304 to a current copy": (2, 2, 2200),
    "who am I": (2, 2, 2620),
    "authenticated": (1, 1, 2130),
}
"""Statements, the one that finds the caller included, but without BEGIN and COMMIT; round trips; and calls in Python,
those of the test client included."""


@pytest.fixture
def asks(live_app: Flask) -> dict[str, Ask]:
    """Every hot request, against a shop with one location and fifty items."""
    with committed(live_app) as make:
        place = make.location()
        items = [make.item(stock=10_000, at=place) for _ in range(ITEMS)]
        headers = make.headers(role="clerk")
        ids = [str(item.id) for item in items]
    client = live_app.test_client()
    return {
        "order of 3 lines": lambda: order(client, ids[:3], headers),
        "order of 24 lines": lambda: order(client, ids[:24], headers),
        "list 50 items": lambda: client.get("/api/v1/items?limit=50", headers=headers),
        "list 50 levels": lambda: client.get("/api/v1/stock/levels?limit=50", headers=headers),
        "show an item": lambda: client.get(f"/api/v1/items/{ids[0]}", headers=headers),
        "304 to a current copy": lambda: client.get(
            f"/api/v1/items/{ids[0]}", headers=headers | {"If-None-Match": '"1"'}
        ),
        "who am I": lambda: client.get("/api/v1/users/me", headers=headers),
        "authenticated": lambda: client.get("/api/v1/events/types", headers=headers),
    }


@pytest.mark.parametrize("name", COSTS)
def test_a_hot_request_costs_no_more_than_it_did(live_app: Flask, asks: dict[str, Ask], name: str) -> None:
    statements, trips, calls = COSTS[name]
    statuses = {asks[name]().status_code for _ in range(WARM_UP)}
    profile = cProfile.Profile()
    with live_app.app_context(), counted() as sent:
        profile.runcall(asks[name])
    with batches() as made:
        asks[name]()

    assert statuses <= {200, 201, 304}
    assert len(sent) == statements
    if name != "who am I":  # one of its statements is SQLAlchemy's
        assert len(made) == trips
    assert calls / 1.5 < pstats.Stats(profile).total_calls <= calls * SLACK  # type: ignore[attr-defined]  # since 3.0


def test_the_statements_of_hot_requests_are_planned_once(live_app: Flask, asks: dict[str, Ask]) -> None:
    with live_app.app_context():
        db.engine.dispose()  # a new connection knows no statements of others
    for number in range(2 * WARM_UP):
        asks["order of 24 lines" if number % 2 else "order of 3 lines"]()
        for name in ("list 50 items", "list 50 levels", "show an item"):
            asks[name]()
    with live_app.app_context():
        kept = db.session.execute(text("SELECT statement, custom_plans, generic_plans FROM pg_prepared_statements"))
        plans = {row.statement: (row.custom_plans, row.generic_plans) for row in kept}

    assert len(plans) >= COSTS["order of 3 lines"][0] + 3
    assert [statement for statement, (custom, generic) in plans.items() if custom > generic] == []


@pytest.mark.parametrize("name", COSTS)
def test_the_head_of_an_answer_is_short(asks: dict[str, Ask], name: str) -> None:
    head = sum(len(f"{field}: {value}\r\n") for field, value in asks[name]().headers)

    assert head < 900


def order(client: FlaskClient, ids: list[str], headers: dict[str, str]) -> Any:
    lines = [{"item_id": item_id, "quantity": 1} for item_id in ids]
    return client.post("/api/v1/orders", json={"lines": lines}, headers=headers | {"Idempotency-Key": str(uuid4())})
