"""What an order keeps leaves once, from where it lies, and arrives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.items import service as items
from api.orders import service as orders
from api.orders.errors import ExceedsOutstanding, InvalidTransition, LineUnknown, OrderNotFound
from api.shipments import service as shipments
from api.shipments.errors import BeforeItLeft, DeliveredAlready, NothingToShip, ShipmentNotFound
from api.stock import service as stock
from api.stock.errors import InTheFuture, NotAllocated
from tests.factories import GBP
from tests.stock.reading import Level, differences, ledger, level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from api.shipments.models import Shipment
    from tests.factories import Factory

pytestmark = pytest.mark.usefixtures("noise")


class TestShipping:
    def test_takes_everything_that_lies_ready(
        self, make: Factory, session: Session, item: Item, here: Location
    ) -> None:
        order = make.order((item, 4))

        shipment = make.shipment(order, carrier="Royal Mail", tracking_number="RM1", note="Fragile")

        assert shipped(shipment) == [(1, item.id, here.id, 4)]
        assert (shipment.status, shipment.version, shipment.carrier) == ("shipped", 1, "Royal Mail")
        assert shipment.number == f"SH-{shipment.sequence_number:06d}"
        assert level(session, item, here) == Level(6, 0)
        assert (status(make, order), outstanding(make, order)) == ("shipped", [0])

    def test_is_in_the_ledger_under_the_order_s_number(
        self, make: Factory, session: Session, item: Item, here: Location
    ) -> None:
        order = make.order((item, 4))

        shipment = make.shipment(order)

        (gone,) = (row for row in ledger(session, item) if row.kind == "shipment")
        assert (gone.on_hand_change, gone.reserved_change, gone.source_id) == (-4, -4, shipment.id)
        assert (gone.reference, gone.location_id) == (orders.get(session, order.id, by=make.by).number, here.id)

    def test_a_part_leaves_the_rest_for_later(
        self, make: Factory, session: Session, item: Item, here: Location
    ) -> None:
        order = make.order((item, 4))

        first = make.shipment(order, (item, 1))
        assert (status(make, order), outstanding(make, order)) == ("partially_shipped", [3])
        assert level(session, item, here) == Level(9, 3)
        second = make.shipment(order)

        assert [line.quantity for line in (*first.lines, *second.lines)] == [1, 3]
        assert (status(make, order), level(session, item, here)) == ("shipped", Level(6, 0))

    def test_of_two_locations_is_one_shipment_with_a_line_for_each(self, make: Factory, session: Session) -> None:
        item, places = spread(make)
        order = make.order((item, 8))

        shipment = make.shipment(order)

        assert {(line.location_code, line.quantity) for line in shipment.lines} == {
            (place.code, quantity) for place, quantity in zip(places, (5, 3), strict=True)
        }
        assert [line.line_no for line in shipment.lines] == [1, 2]
        assert {line.order_line_no for line in shipment.lines} == {1}
        assert [level(session, item, place) for place in places] == [Level(0, 0), Level(0, 0)]

    def test_from_one_location_leaves_what_lies_elsewhere(self, make: Factory, session: Session) -> None:
        item, (first, second) = spread(make)
        order = make.order((item, 8))

        shipment = make.shipment(order, location_id=second.id)

        assert shipped(shipment) == [(1, item.id, second.id, 3)]
        assert level(session, item, first) == Level(5, 5)
        assert (status(make, order), outstanding(make, order)) == ("partially_shipped", [5])

    def test_of_more_than_one_location_keeps_is_refused(self, make: Factory, session: Session) -> None:
        item, (_, second) = spread(make)
        order = make.order((item, 8))

        with pytest.raises(NotAllocated) as refused:
            make.shipment(order, (item, 4), location_id=second.id)

        assert refused.value.problems[0].facts == {"line_no": 1, "requested": 4, "allocated": 3}
        assert level(session, item, second) == Level(3, 3)

    def test_an_item_on_two_lines_leaves_from_them_in_their_order(self, make: Factory, item: Item) -> None:
        order = make.order((item, 2), (item, 3))

        shipment = make.shipment(order, (item, 4))

        assert [(line.order_line_no, line.quantity) for line in shipment.lines] == [(1, 2), (2, 2)]

    def test_of_more_than_is_outstanding_names_every_line(self, make: Factory, session: Session, item: Item) -> None:
        other = make.item(stock=5)
        order = make.order((item, 4), (other, 1))
        make.shipment(order, (item, 1))

        with pytest.raises(ExceedsOutstanding) as refused:
            make.shipment(order, (item, 4), (other, 2))

        assert [(problem.field, problem.facts) for problem in refused.value.problems] == [
            ("lines.0.quantity", {"requested": 4, "available": 3}),
            ("lines.1.quantity", {"requested": 2, "available": 1}),
        ]
        assert len(all_of(session, make, order)) == 1

    def test_of_an_item_that_was_not_ordered_is_refused(self, make: Factory, item: Item) -> None:
        with pytest.raises(LineUnknown):
            make.shipment(make.order((item, 4)), (make.item(stock=1), 1))

    def test_what_was_cancelled_is_not_shipped(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        lines = [orders.LineChoice(item_id=item.id, quantity=3)]
        orders.cancel(session, order.id, currency=GBP, by=make.by, lines=lines)

        assert [line.quantity for line in make.shipment(order).lines] == [1]
        assert status(make, order) == "shipped"


class TestWorth:
    def test_what_leaves_is_worth_what_it_had_cost_and_stock_is_worth_that_much_less(
        self, make: Factory, session: Session, here: Location
    ) -> None:
        item = make.item()
        for quantity, cost in ((3, "1.0001"), (7, "2.55")):
            line = stock.Line(item_id=item.id, quantity=quantity, unit_cost=Decimal(cost))
            stock.receive(session, location_id=here.id, lines=[line], by=make.by)
        before = worth(session, item)

        shipment = make.shipment(make.order((item, 4)))

        assert before == Decimal("20.8503")
        assert shipment.lines[0].value == Decimal("8.3401")  # 4 of 10 units, to the ten-thousandth
        assert worth(session, item) == before - shipment.lines[0].value

    def test_the_last_units_leave_no_worth_behind(self, make: Factory, session: Session, here: Location) -> None:
        item = make.item()
        line = stock.Line(item_id=item.id, quantity=3, unit_cost=Decimal("0.3333"))
        stock.receive(session, location_id=here.id, lines=[line], by=make.by)
        order = make.order((item, 3))

        left = [make.shipment(order, (item, 2)), make.shipment(order)]

        assert sum(shipment.lines[0].value for shipment in left) == Decimal("0.9999")
        assert worth(session, item) == 0


class TestWhatIsNotStocked:
    def test_goes_along_with_the_last_of_the_goods(self, make: Factory, item: Item, postage: Item) -> None:
        order = make.order((item, 4), (postage, 1))

        first, last = make.shipment(order, (item, 3)), make.shipment(order)

        assert [line.item_id for line in first.lines] == [item.id]
        assert shipped(last)[1:] == [(2, postage.id, None, 1)]
        assert last.lines[1].value == 0
        assert (status(make, order), outstanding(make, order)) == ("shipped", [0, 0])

    def test_goes_along_with_goods_when_it_is_named(self, make: Factory, item: Item, postage: Item) -> None:
        order = make.order((item, 4), (postage, 1))

        first, last = make.shipment(order, (item, 3), (postage, 1)), make.shipment(order)

        assert [line.item_id for line in first.lines] == [item.id, postage.id]
        assert [line.item_id for line in last.lines] == [item.id]

    def test_can_leave_before_the_goods_when_it_is_named(self, make: Factory, item: Item, postage: Item) -> None:
        order = make.order((item, 4), (postage, 1))

        make.shipment(order, (postage, 1))

        assert (status(make, order), outstanding(make, order)) == ("placed", [4, 0])

    def test_can_arrive_after_the_goods(self, make: Factory, session: Session, item: Item, postage: Item) -> None:
        order = make.order((item, 2), (postage, 1))
        goods = [make.shipment(order, (item, 1))]
        late = make.shipment(order, (postage, 1))
        goods.append(make.shipment(order))

        for shipment in (*goods, late):
            shipments.deliver(session, order.id, shipment.id, by=make.by)

        assert status(make, order) == "delivered"

    def test_is_shipped_alone_where_nothing_else_is_ordered(self, make: Factory, postage: Item) -> None:
        order = make.order((postage, 2))

        shipment = make.shipment(order)

        assert shipped(shipment) == [(1, postage.id, None, 2)]
        assert status(make, order) == "shipped"

    def test_waits_while_goods_are_backordered(self, make: Factory, postage: Item) -> None:
        scarce = make.item(stock=2, backorders="allow")
        order = make.order((scarce, 3), (postage, 1))

        assert [line.item_id for line in make.shipment(order).lines] == [scarce.id]
        assert outstanding(make, order) == [1, 1]


class TestWhatWaits:
    def test_is_not_shipped_before_it_comes(self, make: Factory, session: Session, here: Location) -> None:
        scarce = make.item(stock=2, at=here, backorders="allow")
        order = make.order((scarce, 5))

        with pytest.raises(NotAllocated):
            make.shipment(order, (scarce, 3))
        make.shipment(order)
        with pytest.raises(NothingToShip):
            make.shipment(order)
        assert status(make, order) == "partially_shipped"
        make.receive(scarce, 10, at=here)
        make.shipment(order)

        assert (status(make, order), level(session, scarce, here)) == ("shipped", Level(7, 0))

    def test_is_on_the_pick_list_apart(self, make: Factory, session: Session, here: Location) -> None:
        scarce = make.item(stock=2, at=here, backorders="allow")
        order = make.order((scarce, 5))

        picked = shipments.pick_list(session, order.id, by=make.by)

        (place,) = picked["locations"]
        assert (place["location_id"], [line["quantity"] for line in place["lines"]]) == (here.id, [2])
        assert [(line["sku"], line["quantity"]) for line in picked["backordered"]] == [(scarce.sku, 3)]


class TestTheOrder:
    def test_on_hold_is_not_shipped_until_it_is_taken_up_again(
        self, make: Factory, session: Session, item: Item
    ) -> None:
        order = make.order((item, 4))
        orders.hold(session, order.id, reason="Fraud check", by=make.by)

        with pytest.raises(InvalidTransition):
            make.shipment(order)
        orders.resume(session, order.id, by=make.by)

        assert make.shipment(order).status == "shipped"

    def test_that_is_cancelled_is_not_shipped(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        orders.cancel(session, order.id, currency=GBP, by=make.by)

        with pytest.raises(InvalidTransition):
            make.shipment(order)

    def test_that_is_shipped_is_not_shipped_again_nor_cancelled(
        self, make: Factory, session: Session, item: Item, here: Location
    ) -> None:
        order = make.order((item, 4))
        make.shipment(order)

        with pytest.raises(InvalidTransition):
            make.shipment(order)
        with pytest.raises(InvalidTransition):
            orders.cancel(session, order.id, currency=GBP, by=make.by)
        assert level(session, item, here) == Level(6, 0)

    def test_that_is_not_there_is_not_found(self, make: Factory, session: Session) -> None:
        for act in (shipments.ship, shipments.pick_list, shipments.of_order):
            with pytest.raises(OrderNotFound):
                act(session, uuid4(), by=make.by)

    def test_can_be_shipped_when_its_item_has_left_the_catalogue(
        self, make: Factory, session: Session, item: Item
    ) -> None:
        order = make.order((item, 4))
        items.archive(session, item.id, by=make.by)

        assert make.shipment(order).lines[0].quantity == 4


class TestDelivering:
    def test_the_last_shipment_delivers_the_order(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        first, second = make.shipment(order, (item, 1)), make.shipment(order)

        delivered = shipments.deliver(session, order.id, second.id, by=make.by)
        assert (delivered.status, delivered.version, status(make, order)) == ("delivered", 2, "shipped")
        shipments.deliver(session, order.id, first.id, by=make.by)

        assert status(make, order) == "delivered"

    def test_a_part_does_not_deliver_the_order(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))

        shipments.deliver(session, order.id, make.shipment(order, (item, 1)).id, by=make.by)

        assert status(make, order) == "partially_shipped"

    def test_what_is_on_hold_meanwhile_arrives_all_the_same(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        shipment = make.shipment(order, (item, 1))
        orders.hold(session, order.id, reason="Fraud check", by=make.by)

        shipments.deliver(session, order.id, shipment.id, by=make.by)

        assert status(make, order) == "on_hold"

    def test_twice_is_refused(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        shipment = make.shipment(order, (item, 1))
        shipments.deliver(session, order.id, shipment.id, by=make.by)

        with pytest.raises(DeliveredAlready):
            shipments.deliver(session, order.id, shipment.id, by=make.by)

    def test_before_it_left_or_in_the_future_is_refused(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        shipment = make.shipment(order)

        for moment, refusal in (
            (shipment.shipped_at - timedelta(seconds=1), BeforeItLeft),
            (datetime(2999, 1, 1, tzinfo=UTC), InTheFuture),
        ):
            with pytest.raises(refusal):
                shipments.deliver(session, order.id, shipment.id, delivered_at=moment, by=make.by)
        assert shipments.get(session, order.id, shipment.id, by=make.by).status == "shipped"

    def test_can_be_told_later(self, make: Factory, session: Session, item: Item) -> None:
        order = make.order((item, 4))
        shipment = make.shipment(order)
        then = shipment.shipped_at

        assert shipments.deliver(session, order.id, shipment.id, delivered_at=then, by=make.by).delivered_at == then

    def test_a_shipment_of_another_order_is_not_found(self, make: Factory, session: Session, item: Item) -> None:
        order, other = make.order((item, 2)), make.order((item, 1))
        make.shipment(order, (item, 1))
        shipment = make.shipment(other)

        for act in (shipments.get, shipments.deliver, shipments.packing_slip):
            with pytest.raises(ShipmentNotFound):
                act(session, order.id, shipment.id, by=make.by)


def test_news_tell_what_left_from_where_and_that_it_arrived(
    make: Factory, session: Session, item: Item, here: Location
) -> None:
    order = make.order((item, 4))
    shipment = make.shipment(order, (item, 3), carrier="Royal Mail", tracking_number="RM1")
    shipments.deliver(session, order.id, shipment.id, by=make.by)

    query = text("SELECT type, data FROM events WHERE subject_id = :id AND type <> 'order.placed' ORDER BY id")
    left, arrived = session.execute(query, {"id": order.id}).all()

    facts = {
        "shipment_id": str(shipment.id),
        "shipment_number": shipment.number,
        "carrier": "Royal Mail",
        "tracking_number": "RM1",
        "status": "partially_shipped",
    }
    line = {"line_no": 1, "item_id": str(item.id), "sku": item.sku, "quantity": 3, "location_id": str(here.id)}
    assert (left.type, arrived.type) == ("order.shipped", "order.delivered")
    for told in (left.data, arrived.data):
        assert facts.items() <= told.items()
        assert told["lines"] == [line]


def shipped(shipment: Shipment) -> list[tuple[Any, ...]]:
    return [(line.order_line_no, line.item_id, line.location_id, line.quantity) for line in shipment.lines]


def status(make: Factory, order: Any) -> str:
    return orders.get(make.session, order.id, by=make.by).status


def outstanding(make: Factory, order: Any) -> list[int]:
    return [line.outstanding_quantity for line in orders.get(make.session, order.id, by=make.by).lines]


def all_of(session: Session, make: Factory, order: Any) -> list[Shipment]:
    return shipments.of_order(session, order.id, by=make.by).page(session, limit=50, after=None)[0]


def worth(session: Session, item: Item) -> Decimal:
    query = text("SELECT sum(value) FROM stock_levels WHERE item_id = :item")
    return Decimal(session.scalar(query, {"item": item.id}) or 0)


def spread(make: Factory) -> tuple[Item, list[Location]]:
    """An item of which five units lie at one place and three at another."""
    places = [make.location(), make.location()]
    item = make.item(stock=5, at=places[0])
    make.receive(item, 3, at=places[1])
    return item, places


@pytest.fixture
def here(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, here: Location) -> Item:
    return make.item(stock=10, at=here)


@pytest.fixture
def postage(make: Factory) -> Item:
    return make.item(is_stocked=False)


@pytest.fixture
def noise(make: Factory, session: Session, here: Location) -> Iterator[None]:
    """Another order at the same place, which keeps its units; afterwards everything must add up."""
    other = make.item(stock=7, at=here)
    make.order((other, 5))
    yield
    assert level(session, other, here) == Level(7, 5)
    assert differences(session) == []


def test_naming_part_of_what_is_not_stocked_ships_no_more(make: Factory) -> None:
    one, two = (make.item(is_stocked=False) for _ in range(2))
    order = make.order((one, 3), (two, 1))

    first = make.shipment(order, (one, 1))

    assert [(line.item_id, line.quantity) for line in first.lines] == [(one.id, 1)]
