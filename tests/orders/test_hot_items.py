"""One item wanted by everybody: buyers wait at a gate before its row, and go out of it whatever becomes of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import OperationalError

from api.core import ids
from api.core.caller import Caller
from api.extensions import db
from api.stock import service as stock
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.factories import Factory

MANY = 12
SOON = {"database_pool_timeout_seconds": 0.1}


@pytest.fixture
def impatient(start: Callable[..., Flask]) -> Flask:
    """Give an application whose requests give up at the gate at once."""
    return start(**SOON)


def test_many_buyers_of_one_item_are_all_served(start: Callable[..., Flask]) -> None:
    app = start(database_pool_size=MANY)
    (item,), headers = lay_out(app, 1)

    answers = at_once(app, *[order(headers, item)] * MANY)

    assert [answer.status_code for answer in answers] == [201] * MANY
    with committed(app):
        (available,) = stock.availability(db.session(), item).locations
        assert available.reserved == MANY


def test_whoever_waits_too_long_gets_503_and_may_repeat_with_the_same_key(impatient: Flask) -> None:
    (item,), headers = lay_out(impatient, 1)
    request = order(headers | {"Idempotency-Key": "once"}, item)

    with inside(impatient, item):
        refused = ask(impatient, request)
    again = ask(impatient, request)

    assert_problem(refused, 503, "item_busy", None)
    assert refused.headers["Retry-After"] == "1"
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again.headers


def test_buyers_of_other_items_do_not_wait(impatient: Flask) -> None:
    (hot, other), headers = lay_out(impatient, 2)

    with inside(impatient, hot):
        assert ask(impatient, order(headers, other)).status_code == 201


def test_an_order_that_is_refused_frees_its_place(impatient: Flask) -> None:
    (item,), headers = lay_out(impatient, 1)

    assert_problem(ask(impatient, order(headers, item, quantity=1000)), 409, "insufficient_stock", "lines.0.quantity")
    assert ask(impatient, order(headers, item)).status_code == 201


def test_an_order_that_waits_in_vain_for_one_item_frees_its_place_at_the_others(impatient: Flask) -> None:
    items, headers = lay_out(impatient, 2)
    first, second = sorted(items)

    with inside(impatient, second):
        assert_problem(ask(impatient, order(headers, first, second)), 503, "item_busy", None)
        assert ask(impatient, order(headers, first)).status_code == 201


def test_whoever_is_inside_of_one_gate_waits_at_no_other_but_only_for_rows(start: Callable[..., Flask]) -> None:
    app = start(database_pool_timeout_seconds=60, database_lock_timeout_ms=50)
    (item, other), _ = lay_out(app, 2)

    with inside(app, other), inside(app, item), pytest.raises(OperationalError, match="lock timeout"):
        stock.reserve(db.session(), promise(other), by=Caller.system())


def test_sessions_on_one_connection_share_its_locks_and_do_not_wait(client: FlaskClient, make: Factory) -> None:
    item = make.item()
    make.receive(item, 5, at=make.location())
    make.order((item, 1))

    answer = client.open(**order(make.headers(), item.id))

    assert answer.status_code == 201


@contextmanager
def inside(app: Flask, item_id: UUID) -> Iterator[None]:
    """Keep a transaction open that has locked an item's rows."""
    with app.app_context():
        session = db.session()
        stock.reserve(session, promise(item_id), by=Caller.system())
        yield
        session.rollback()


def promise(item_id: UUID) -> stock.Promise:
    return stock.Promise(ids.new(), [stock.Demand(1, item_id, 1)])


def lay_out(app: Flask, count: int) -> tuple[list[UUID], dict[str, str]]:
    """Make items with 100 units each; tells who may order them."""
    with committed(app) as make:
        place, items = make.location(), [make.item() for _ in range(count)]
        for item in items:
            make.receive(item, 100, at=place)
        return [item.id for item in items], make.headers()


def order(headers: dict[str, str], *items: UUID, quantity: int = 1) -> dict[str, Any]:
    lines = [{"item_id": str(item), "quantity": quantity} for item in items]
    return {"method": "POST", "path": "/api/v1/orders", "headers": headers, "json": {"lines": lines}}


def ask(app: Flask, request: dict[str, Any]) -> TestResponse:
    """Ask from a thread of its own, outside of this one's application context."""
    return at_once(app, request)[0]
