"""Stock that runs low: told once per crossing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from api.core.caller import Caller
from api.extensions import db
from api.items import service as items
from api.orders import service as orders
from api.stock import service as stock
from tests.factories import GBP
from tests.live import at_once, committed
from tests.stock.reading import differences

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

SYSTEM = Caller.system()


def news(session: Session) -> list[tuple[str, dict[str, Any]]]:
    """Tell which crossings were recorded, oldest first."""
    query = text("SELECT type, data FROM events WHERE type IN ('stock.low', 'stock.replenished') ORDER BY number")
    return [(row.type, row.data) for row in session.execute(query)]


def kinds(session: Session) -> list[str]:
    return [kind for kind, _ in news(session)]


def take(session: Session, item: Item, place: Location, quantity: int) -> None:
    lines = [stock.Line(item_id=item.id, quantity=quantity)]
    stock.adjust(session, location_id=place.id, lines=lines, reason="correction", by=SYSTEM)


class TestALevel:
    def test_is_low_at_its_reorder_point_and_told_once_for_each_crossing(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(reorder_point=5, stock=8, at=place)

        make.order((item, 2))
        assert kinds(session) == []
        order = make.order((item, 1))
        make.order((item, 1))
        take(session, item, place, -1)
        assert kinds(session) == ["stock.low"]
        orders.cancel(session, order.id, currency=GBP, by=make.by)
        take(session, item, place, 3)
        assert kinds(session) == ["stock.low", "stock.replenished"]
        make.order((item, 6))

        assert kinds(session) == ["stock.low", "stock.replenished", "stock.low"]
        assert news(session)[0][1] == {
            "item_id": str(item.id),
            "location_id": str(place.id),
            "available": 5,
            "reorder_point": 5,
        }

    def test_that_gets_its_first_stock_crosses_nothing(self, make: Factory, session: Session) -> None:
        make.item(reorder_point=5, stock=20)
        make.item(reorder_point=5, stock=3)

        assert kinds(session) == []

    def test_without_a_reorder_point_is_never_low(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(stock=8, at=place)

        take(session, item, place, -8)

        assert kinds(session) == []

    def test_where_nothing_is_sold_has_no_reorder_point(self, make: Factory, session: Session) -> None:
        place = make.location(kind="quarantine")
        item = make.item(reorder_point=5, stock=8, at=place)

        take(session, item, place, -8)
        items.update(session, item, items.ItemChanges(reorder_point=7), by=make.by)

        (row,), _ = stock.levels(session, item_id=item.id).page(session, limit=5, after=None)
        assert (row.reorder_point, row.is_low) == (None, False)
        assert kinds(session) == []

    def test_follows_the_reorder_point_of_its_item_without_news(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(reorder_point=5, stock=8, at=place)

        def low() -> list[object]:
            rows, _ = stock.levels(session, low=True).page(session, limit=5, after=None)
            return [(row.item_id, row.reorder_point) for row in rows]

        assert low() == []
        items.update(session, item, items.ItemChanges(reorder_point=8), by=make.by)
        assert low() == [(item.id, 8)]
        items.update(session, item, items.ItemChanges(reorder_point=None), by=make.by)
        assert low() == []
        assert kinds(session) == []
        assert differences(session) == []


def test_levels_that_are_low_can_be_listed(make: Factory, client: FlaskClient) -> None:
    place, headers = make.location(), make.headers(role="clerk")
    low = make.item(reorder_point=5, stock=4, at=place)
    make.item(reorder_point=5, stock=6, at=place), make.item(stock=1, at=place)

    def listed(wanted: str) -> list[str]:
        rows = client.get("/api/v1/stock/levels", query_string={"low": wanted}, headers=headers).get_json()["data"]
        return [row["sku"] for row in rows]

    assert listed("true") == [low.sku]
    assert len(listed("false")) == 2


def test_many_buyers_at_once_cross_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        item = make.item(reorder_point=5, stock=20)
        body = {"lines": [{"item_id": str(item.id), "quantity": 1}]}
        requests = [{"path": "/api/v1/orders", "method": "POST", "json": body, "headers": make.headers()}] * 18

    answers = at_once(live_app, *requests)

    assert {answer.status_code for answer in answers} == {201}
    with live_app.app_context():
        assert kinds(db.session()) == ["stock.low"]


def test_a_reorder_point_that_changes_while_stock_moves_is_never_missed(live_app: Flask) -> None:
    with committed(live_app) as make:
        item = make.item(reorder_point=5, stock=100)
        headers = make.headers()
        body = {"lines": [{"item_id": str(item.id), "quantity": 1}]}
        order = {"path": "/api/v1/orders", "method": "POST", "json": body, "headers": headers}
        change = {
            "path": f"/api/v1/items/{item.id}",
            "method": "PATCH",
            "json": {"reorder_point": 95},
            "headers": headers | {"If-Match": f'"{item.version}"'},
        }

    answers = at_once(live_app, *[order] * 4, change, *[order] * 4)

    assert sorted(answer.status_code for answer in answers) == [200, *[201] * 8]
    with live_app.app_context():
        (row,), _ = stock.levels(db.session()).page(db.session(), limit=5, after=None)
        assert (row.available, row.reorder_point, row.is_low) == (92, 95, True)


def test_reorder_points_that_change_by_the_dozen_do_not_deadlock_with_orders(live_app: Flask) -> None:
    with committed(live_app) as make:
        places = [make.location(priority=number) for number in range(2)]
        skus = [make.item(stock=500, at=places[number % 2]).sku for number in range(12)]
        headers = make.headers()
    lines = [{"sku": sku, "quantity": 1} for sku in skus]
    order = {"path": "/api/v1/orders", "method": "POST", "json": {"lines": lines}, "headers": headers}
    bulk = [
        {
            "path": "/api/v1/items/bulk",
            "method": "POST",
            "json": {"items": [{"sku": sku, "reorder_point": point} for sku in reversed(skus)]},
            "headers": headers,
        }
        for point in range(4)
    ]

    answers = [answer for _ in range(3) for answer in at_once(live_app, order, *bulk, order, order)]

    assert {answer.status_code for answer in answers} == {200, 201}
    with live_app.app_context():
        assert db.session.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")) == 0
        assert differences(db.session()) == []
