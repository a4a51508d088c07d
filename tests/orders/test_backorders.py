"""More is ordered than there is: it waits, and the next units that come are for those who wait."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.orders import service as orders
from api.stock import service as stock
from api.stock.errors import InsufficientStock
from tests.factories import GBP
from tests.live import at_once, committed
from tests.stock.reading import Level, differences, level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(priority=1)


@pytest.fixture
def cup(make: Factory, place: Location) -> Item:
    return make.item(stock=3, at=place, backorders="allow", lead_time_days=14)


def waiting(make: Factory, order: orders.Placed) -> list[int]:
    return [line.backordered_quantity for line in orders.get(make.session, order.id, by=make.by).lines]


def test_what_is_short_waits_and_the_rest_is_kept(make: Factory, session: Session, cup: Item, place: Location) -> None:
    order = make.order((cup, 5))

    (line,) = orders.get(session, order.id, by=make.by).lines
    assert [one.backordered_quantity for one in order.lines] == [line.backordered_quantity] == [2]
    assert line.promised_on == stock.clock(session).date() + timedelta(days=14)
    assert level(session, cup, place) == Level(3, 3)
    assert differences(session) == []


def test_an_item_that_denies_it_and_an_order_that_will_not_wait_are_refused(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    other = make.item(stock=1, at=place)

    with pytest.raises(InsufficientStock) as refused:
        make.order((cup, 5), (other, 2))
    with pytest.raises(InsufficientStock):
        make.order((cup, 5), allow_backorders=False)

    assert [problem.facts["sku"] for problem in refused.value.problems] == [other.sku]
    assert level(session, cup, place) == Level(3, 0)


def test_units_that_come_are_for_the_oldest_first(make: Factory, session: Session, cup: Item, place: Location) -> None:
    first, second, third = make.order((cup, 5)), make.order((cup, 4)), make.order((cup, 1))

    make.receive(cup, 4, at=place)

    assert [waiting(make, one) for one in (first, second, third)] == [[0], [2], [1]]
    assert level(session, cup, place) == Level(7, 7)
    news = session.execute(
        text("SELECT subject_id, data FROM events WHERE type = 'order.backorder_filled' ORDER BY number")
    ).all()
    assert [(row.subject_id, row.data["lines"][0]["quantity"]) for row in news] == [(first.id, 2), (second.id, 2)]
    assert differences(session) == []


@pytest.mark.parametrize("how", ["cancelled", "adjusted", "transferred", "returned", "reservation released"])
def test_it_does_not_matter_how_they_come(
    make: Factory, session: Session, cup: Item, place: Location, how: str
) -> None:
    kept = make.reservation((cup, 1)) if how == "reservation released" else None
    older = make.order((cup, 3 if kept is None else 2))
    if how == "returned":
        make.shipment(older)
    waits = make.order((cup, 1))
    assert waiting(make, waits) == [1]

    if how == "cancelled":
        orders.cancel(session, older.id, currency=GBP, by=make.by)
    elif how == "adjusted":
        line = stock.Line(item_id=cup.id, quantity=1)
        stock.adjust(session, location_id=place.id, lines=[line], reason="found", by=make.by)
    elif how == "transferred":
        far = make.location(kind="quarantine")
        make.receive(cup, 1, at=far)
        make.transfer((cup, 1), source=far, target=place, in_transit=False)
    elif how == "returned":
        from api.returns import service as returns  # noqa: PLC0415  # only this way needs it

        returns.receive(session, older.id, make.return_(older, (cup, 1)).id, by=make.by)
    elif kept is not None:
        from api.reservations import service as reservations  # noqa: PLC0415  # only this way needs it

        reservations.release(session, kept.id, by=make.by)

    assert waiting(make, waits) == [0]
    assert differences(session) == []


def test_units_that_come_where_nothing_is_sold_fill_nothing(make: Factory, cup: Item) -> None:
    order = make.order((cup, 4))

    make.receive(cup, 5, at=make.location(kind="quarantine"))

    assert waiting(make, order) == [1]


def test_an_order_from_one_location_waits_for_units_there(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    other = make.location(priority=2)
    order = make.order((cup, 4), location_id=place.id)

    make.receive(cup, 5, at=other)
    elsewhere = waiting(make, order)
    make.receive(cup, 5, at=place)

    assert (elsewhere, waiting(make, order)) == ([1], [0])
    assert differences(session) == []


def test_cancelling_takes_what_waits_before_what_is_kept(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    order = make.order((cup, 5))

    orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[orders.LineChoice(line_no=1, quantity=3)])

    assert waiting(make, order) == [0]
    assert level(session, cup, place) == Level(3, 2)
    assert differences(session) == []


def test_units_that_came_to_a_new_place_at_the_same_moment_are_found_later(
    make: Factory, session: Session, cup: Item
) -> None:
    order = make.order((cup, 5))
    other = make.location(priority=2)
    make.receive(cup, 1, at=other)
    session.execute(text("UPDATE stock_backorders SET quantity = quantity"))
    session.execute(
        text("UPDATE stock_levels SET on_hand = on_hand + 1, version = version + 1 WHERE location_id = :id"),
        {"id": other.id},
    )

    served = stock.serve_backorders(session, by=make.by)

    assert served == 1
    assert waiting(make, order) == [0]


def test_the_list_tells_which_orders_wait(make: Factory, client: FlaskClient, cup: Item) -> None:
    full, short = make.order((cup, 3)), make.order((cup, 1))
    headers = make.headers()

    def found(query: str) -> set[str]:
        return {row["id"] for row in client.get(f"/api/v1/orders?{query}", headers=headers).get_json()["data"]}

    assert str(short.id) in found("backordered=true")
    assert str(full.id) not in found("backordered=true")
    assert found(f"number={full.number.lower()}") == {str(full.id)}
    assert found("number=SO-1") == set()


def test_of_many_receipts_and_cancellations_at_once_every_unit_is_kept_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        place = make.location()
        cup = make.item(stock=1, at=place, backorders="allow")
        placed = [make.order((cup, 2)) for _ in range(6)]
        headers, item_id, place_id = make.headers(), str(cup.id), str(place.id)
        ids = [str(order.id) for order in placed]

    def post(path: str, body: Mapping[str, object]) -> dict[str, object]:
        return {"method": "POST", "path": f"/api/v1{path}", "json": body, "headers": headers}

    receipt = {"location_id": place_id, "lines": [{"item_id": item_id, "quantity": 2}]}
    answers = at_once(
        live_app,
        *[post("/stock/receipts", receipt)] * 4,
        *(post(f"/orders/{order_id}/cancel", {}) for order_id in ids[:3]),
        *[post("/orders", {"lines": [{"item_id": item_id, "quantity": 1}]})] * 3,
    )

    assert {answer.status_code for answer in answers} == {200, 201}
    with committed(live_app) as make:
        assert differences(make.session) == []
        (reserved,) = make.session.execute(text("SELECT sum(reserved) FROM stock_levels")).one()
        (left,) = make.session.execute(text("SELECT coalesce(sum(quantity), 0) FROM stock_backorders")).one()
    assert (reserved, left) == (9, 0)


def test_an_edit_that_only_wants_less_of_what_waits_is_written(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    order = make.order((cup, 9))
    locked = orders.locked(session, order.id, by=make.by, to="edit")
    lines = [orders.LineRequest(item_id=cup.id, quantity=5)]

    changed = orders.edit(session, locked, {"lines": lines}, currency=GBP, by=make.by)

    assert [line.backordered_quantity for line in changed.lines] == [2]
    assert level(session, cup, place) == Level(3, 3)
    assert differences(session) == []


def test_thousands_of_lines_that_wait_are_served_together_with_those_half_served(
    make: Factory, session: Session, place: Location
) -> None:
    item = make.item(stock=1, at=place, backorders="allow")
    for lines in (1, 1000, 1000):
        make.order(*[(item, 2 if lines == 1 else 1)] * lines)

    make.receive(item, 3000, at=place)

    assert level(session, item, place) == Level(3001, 2002)
    assert differences(session) == []


def test_who_wants_more_waits_for_it_behind_those_who_wait(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    first, second = make.order((cup, 4)), make.order((cup, 2))
    session.execute(text("UPDATE stock_backorders SET waiting_since = now() - interval '1 hour'"))
    locked = orders.locked(session, first.id, by=make.by, to="edit")
    orders.edit(session, locked, {"lines": [orders.LineRequest(item_id=cup.id, quantity=9)]}, currency=GBP, by=make.by)

    make.receive(cup, 2, at=place)

    assert [waiting(make, one) for one in (first, second)] == [[6], [0]]
