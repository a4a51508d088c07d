"""Units come back: no more than left, in the condition in which they come, worth what they were worth."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.orders import service as orders
from api.orders.errors import InvalidTransition, LineUnknown
from api.returns import service as returns
from api.returns.errors import (
    ExceedsShipped,
    NotAQuarantine,
    NothingToReturn,
    QuarantineUnknown,
    RefundTooLarge,
    ReturnEnded,
)
from api.stock import service as stock
from tests.live import at_once, committed
from tests.stock.reading import Level, differences, level

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(priority=1)


@pytest.fixture
def cup(make: Factory, session: Session, place: Location) -> Item:
    """Ten, that have cost five each."""
    item = make.item(unit_price=Decimal("12.75"))
    line = stock.Line(item_id=item.id, quantity=10, unit_cost=Decimal("5.00"))
    stock.receive(session, location_id=place.id, lines=[line], by=make.by)
    return item


@pytest.fixture
def sent(make: Factory, cup: Item) -> orders.Placed:
    """Four of them, shipped."""
    order = make.order((cup, 4))
    make.shipment(order)
    return order


def back(quantity: int, condition: str = "resellable", *, line_no: int = 1) -> returns.ReceivedLine:
    return returns.ReceivedLine(line_no=line_no, quantity=quantity, condition=condition)


class TestRequesting:
    def test_asks_for_everything_that_was_shipped(self, make: Factory, session: Session, sent: orders.Placed) -> None:
        asked = make.return_(sent)

        assert (asked.status, [line.quantity for line in asked.lines]) == ("requested", [4])
        assert asked.number.startswith("RT-")
        assert orders.get(session, sent.id, by=make.by).status == "shipped"

    def test_never_asks_for_more_than_was_shipped_and_has_not_come_back(
        self, make: Factory, session: Session, cup: Item, sent: orders.Placed
    ) -> None:
        first = make.return_(sent, (cup, 3))

        with pytest.raises(ExceedsShipped) as refused:
            make.return_(sent, (cup, 2))
        make.return_(sent, (cup, 1))
        with pytest.raises(NothingToReturn):
            make.return_(sent)
        returns.cancel(session, sent.id, first.id, by=make.by)

        assert refused.value.problems[0].facts == {"requested": 2, "available": 1}
        assert [line.quantity for line in make.return_(sent).lines] == [3]

    def test_of_what_was_not_shipped_is_refused(self, make: Factory, cup: Item) -> None:
        with pytest.raises(InvalidTransition):
            make.return_(make.order((cup, 1)))

    def test_of_what_was_not_ordered_is_refused(self, make: Factory, sent: orders.Placed) -> None:
        with pytest.raises(LineUnknown):
            make.return_(sent, (make.item(), 1))


class TestReceiving:
    def test_puts_units_back_where_they_left_from_at_what_they_were_worth(
        self, make: Factory, session: Session, cup: Item, place: Location, sent: orders.Placed
    ) -> None:
        line = stock.Line(item_id=cup.id, quantity=6, unit_cost=Decimal("9.00"))
        stock.receive(session, location_id=place.id, lines=[line], by=make.by)  # what is bought since costs more

        done = returns.receive(session, sent.id, make.return_(sent).id, by=make.by)

        assert (done.status, [one.resellable_quantity for one in done.lines]) == ("received", [4])
        assert level(session, cup, place) == Level(16, 0)
        movement = session.execute(text("SELECT * FROM stock_movements WHERE kind = 'return'")).one()
        assert (movement.on_hand_change, movement.value_change, movement.source_id) == (4, Decimal(20), done.id)
        assert orders.get(session, sent.id, by=make.by).status == "returned"
        assert differences(session) == []

    def test_tells_the_conditions_apart(
        self, make: Factory, session: Session, cup: Item, place: Location, sent: orders.Placed
    ) -> None:
        quarantine = make.location(kind="quarantine")

        done = returns.receive(
            session,
            sent.id,
            make.return_(sent).id,
            by=make.by,
            lines=[back(1), back(1, "damaged"), back(1, "quarantine")],
        )

        (line,) = done.lines
        assert (line.resellable_quantity, line.damaged_quantity, line.quarantined_quantity) == (1, 1, 1)
        assert [level(session, cup, where) for where in (place, quarantine)] == [Level(7, 0), Level(1, 0)]
        order = orders.get(session, sent.id, by=make.by)
        assert (order.status, order.lines[0].returned_quantity) == ("shipped", 3)
        assert [line.quantity for line in make.return_(sent).lines] == [1]  # what did not come is not expected
        assert differences(session) == []

    def test_needs_to_know_which_quarantine(self, make: Factory, session: Session, sent: orders.Placed) -> None:
        asked, lines = make.return_(sent), [back(1, "quarantine")]

        with pytest.raises(QuarantineUnknown):
            returns.receive(session, sent.id, asked.id, by=make.by, lines=lines)
        with pytest.raises(NotAQuarantine):
            returns.receive(
                session, sent.id, asked.id, by=make.by, lines=lines, quarantine_location_id=make.location().id
            )

    def test_takes_no_more_than_was_asked_for(self, make: Factory, session: Session, sent: orders.Placed) -> None:
        asked = make.return_(sent)

        with pytest.raises(ExceedsShipped) as refused:
            returns.receive(session, sent.id, asked.id, by=make.by, lines=[back(3), back(2, "damaged")])

        assert refused.value.problem.field == "lines.1.quantity"

    def test_happens_once(self, make: Factory, session: Session, sent: orders.Placed) -> None:
        asked = make.return_(sent)
        returns.receive(session, sent.id, asked.id, by=make.by, lines=[back(1)])

        with pytest.raises(ReturnEnded):
            returns.receive(session, sent.id, asked.id, by=make.by)
        with pytest.raises(ReturnEnded):
            returns.cancel(session, sent.id, asked.id, by=make.by)

    def test_grants_what_is_said_and_no_more_than_the_order_was_worth(
        self, make: Factory, session: Session, sent: orders.Placed
    ) -> None:
        asked = make.return_(sent)

        with pytest.raises(RefundTooLarge):
            returns.receive(session, sent.id, asked.id, by=make.by, refund_amount=Decimal("51.01"))
        returns.receive(session, sent.id, asked.id, by=make.by, refund_amount=Decimal("12.75"))

        order = orders.get(session, sent.id, by=make.by)
        assert (order.refund_total, order.balance_due) == (Decimal("12.75"), Decimal("38.25"))

    def test_of_what_is_not_stocked_moves_nothing(self, make: Factory, session: Session, cup: Item) -> None:
        order = make.order((cup, 1), (make.item(is_stocked=False), 1))
        make.shipment(order)

        done = returns.receive(session, order.id, make.return_(order).id, by=make.by)

        assert [line.resellable_quantity for line in done.lines] == [1, 1]
        assert differences(session) == []


def test_of_many_who_receive_or_ask_at_once_every_unit_comes_back_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        item = make.item(stock=10)
        order = make.order((item, 6))
        make.shipment(order)
        asked = make.return_(order, (item, 4))
        headers, url, item_id = make.headers(), f"/api/v1/orders/{order.id}/returns", str(item.id)
        receive = {"method": "POST", "path": f"{url}/{asked.id}/receive", "json": {}, "headers": headers}

    ask = {
        "method": "POST",
        "path": url,
        "json": {"lines": [{"item_id": item_id, "quantity": 1}]},
        "headers": headers,
    }
    answers = at_once(live_app, *[receive] * 5, *[ask] * 5)

    assert sorted(answer.status_code for answer in answers[:5]) == [200, 409, 409, 409, 409]
    assert sorted(answer.status_code for answer in answers[5:]) == [201, 201, 409, 409, 409]
    with committed(live_app) as make:
        assert differences(make.session) == []
        assert make.session.execute(text("SELECT sum(on_hand) FROM stock_levels")).scalar_one() == 8
