"""Placing, finding and cancelling orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.items import service as items
from api.locations.errors import LocationUnknown
from api.orders import service as orders
from api.orders.errors import (
    InvalidTransition,
    ItemArchived,
    ItemUnknown,
    OrderNotFound,
    PriceNotAllowed,
)
from api.stock import service as stock
from api.stock.errors import InsufficientStock
from tests.factories import GBP
from tests.statements import counted
from tests.stock.reading import Level, differences, everything, ledger, level, many_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

YEN = orders.Currency("JPY", 0)


class TestPlacing:
    def test_reserves_what_was_ordered_and_moves_nothing(self, make: Factory, session: Session) -> None:
        place = make.location()
        item, noise = make.item(stock=10, at=place), make.item(stock=10, at=place)

        order = make.order((item, 3))

        assert level(session, item, place) == Level(10, 3)
        assert level(session, noise, place) == Level(10, 0)
        assert differences(session) == []
        assert [(row.kind, row.reserved_change, row.source_id) for row in ledger(session, item)][-1] == (
            "reserve",
            3,
            order.id,
        )

    def test_stores_exactly_what_it_answers(self, make: Factory, session: Session) -> None:
        item = make.item(stock=10, unit_price=Decimal("2.55"))
        placed = make.order((item, 3), reference="WEB-1", note="Ring twice.", details={"channel": "web"})
        session.expire_all()

        stored = orders.get(session, placed.id, by=make.by)

        names = ("number", "status", "customer_id", "reference", "note", "details", "currency", "total", "line_count")
        for name in (*names, "version", "placed_at", "created_at", "updated_at", "cancelled_at", "cancel_reason"):
            assert getattr(stored, name) == getattr(placed, name), name
        facts = ("line_no", "item_id", "sku", "name", "quantity", "cancelled_quantity", "unit_price", "amount")
        assert [[getattr(line, name) for name in facts] for line in stored.lines] == [
            [getattr(line, name) for name in facts] for line in placed.lines
        ]

    def test_takes_items_by_id_and_by_sku_in_any_case_in_one_order(self, make: Factory, session: Session) -> None:
        one, two = make.item(sku="Teapot-1", stock=5), make.item(stock=5)
        wanted = [
            orders.LineRequest(sku="TEAPOT-1", quantity=1),
            orders.LineRequest(item_id=two.id, quantity=2),
            orders.LineRequest(sku="teapot-1", quantity=1),
        ]

        order = orders.place(session, {"lines": wanted}, currency=GBP, by=make.by)

        assert [(line.line_no, line.item_id, line.sku) for line in order.lines] == [
            (1, one.id, "Teapot-1"),
            (2, two.id, two.sku),
            (3, one.id, "Teapot-1"),
        ]

    def test_adds_up_the_lines_of_an_item_before_it_compares(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(stock=5, at=place)

        with pytest.raises(InsufficientStock) as refusal:
            make.order((item, 3), (item, 3))
        make.order((item, 3), (item, 2))

        (problem,) = refusal.value.problems
        assert problem.facts == {"item_id": str(item.id), "sku": item.sku, "requested": 6, "available": 5}
        assert level(session, item, place) == Level(5, 5)
        assert differences(session) == []

    def test_of_what_is_not_stocked_needs_no_stock(self, make: Factory, session: Session) -> None:
        place = make.location()
        mug, postage = make.item(stock=5, at=place), make.item(is_stocked=False, unit_price=Decimal("3.95"))

        order = make.order((postage, 1), (mug, 1))
        only_postage = make.order((postage, 2))

        assert order.total == Decimal("6.45")
        assert only_postage.total == Decimal("7.90")
        assert ledger(session, postage) == []
        assert level(session, mug, place) == Level(5, 1)
        assert differences(session) == []

    def test_tells_the_world_in_the_same_transaction(self, make: Factory, session: Session) -> None:
        item = make.item(stock=5)
        by = replace(make.caller(role="customer"), request_id="request-7")

        order = make.order((item, 2), by=by)

        (news,) = session.execute(text("SELECT * FROM events WHERE subject_id = :id"), {"id": order.id}).all()
        assert (news.type, news.actor_id, news.request_id) == ("order.placed", by.user_id, "request-7")
        assert news.data == {
            "number": order.number,
            "status": "placed",
            "customer_id": str(by.user_id),
            "currency": "GBP",
            "total": "5.00",
            "lines": [
                {
                    "line_no": 1,
                    "item_id": str(item.id),
                    "sku": item.sku,
                    "quantity": 2,
                    "backordered_quantity": 0,
                }
            ],
        }

    def test_numbers_orders_upwards(self, make: Factory) -> None:
        item = make.item(stock=5)

        numbers = [make.order((item, 1)).number for _ in range(3)]

        assert numbers == sorted(set(numbers))
        assert all(number.startswith("SO-") for number in numbers)

    def test_keeps_sku_name_and_price_as_they_were(self, make: Factory, session: Session) -> None:
        item = make.item(sku="OLD", name="Old", unit_price=Decimal("2.50"), stock=5)
        order = make.order((item, 2))

        items.update(session, item, {"sku": "NEW", "name": "New", "unit_price": Decimal(99)}, by=make.by)
        session.expire_all()

        stored = orders.get(session, order.id, by=make.by)
        assert [(line.sku, line.name, line.unit_price) for line in stored.lines] == [("OLD", "Old", Decimal("2.50"))]
        assert stored.total == Decimal("5.00")

    @pytest.mark.parametrize("lines", [1, 200])
    def test_sends_as_many_statements_for_many_lines_as_for_one(
        self, make: Factory, session: Session, lines: int
    ) -> None:
        place, ids = make.location(), many_items(session, lines)
        receipt = [stock.Line(item_id=item_id, quantity=1) for item_id in ids]
        stock.receive(session, location_id=place.id, lines=receipt, by=make.by)
        wanted = [orders.LineRequest(item_id=item_id, quantity=1) for item_id in ids]

        with counted() as sent:
            orders.place(session, {"lines": wanted}, currency=GBP, by=make.by)

        assert len(sent) == 5, sent


class TestRefusals:
    def test_name_every_short_item_and_change_nothing(self, make: Factory, session: Session) -> None:
        few, plenty, none = make.item(stock=2), make.item(stock=50), make.item()
        make.order((few, 1))
        before = everything(session)

        with pytest.raises(InsufficientStock) as refusal:
            make.order((plenty, 1), (few, 1), (none, 4), (few, 2))

        assert [(problem.field, problem.facts) for problem in refusal.value.problems] == [
            ("lines.1.quantity", {"item_id": str(few.id), "sku": few.sku, "requested": 3, "available": 1}),
            ("lines.2.quantity", {"item_id": str(none.id), "sku": none.sku, "requested": 4, "available": 0}),
        ]
        assert everything(session) == before

    def test_point_past_lines_that_need_no_stock(self, make: Factory) -> None:
        postage, short = make.item(is_stocked=False), make.item(stock=1)

        with pytest.raises(InsufficientStock) as refusal:
            make.order((postage, 1), (short, 2))

        assert refusal.value.problem.field == "lines.1.quantity"

    def test_name_every_bad_line_with_one_clear_headline(self, make: Factory, session: Session) -> None:
        good, old, unknown = make.item(stock=5), make.item(stock=5, sku="OLD"), uuid4()
        session.execute(text("UPDATE items SET archived_at = now() WHERE id = :id"), {"id": old.id})
        wanted = [
            orders.LineRequest(sku="NOPE", quantity=1),
            orders.LineRequest(item_id=good.id, quantity=1),
            orders.LineRequest(sku="old", quantity=1),
            orders.LineRequest(item_id=unknown, quantity=1),
        ]

        with pytest.raises(ItemUnknown) as refusal:
            orders.place(session, {"lines": wanted}, currency=GBP, by=make.by)

        assert str(refusal.value) == "There is no item NOPE."
        assert refusal.value.problem.field == "lines.0.sku"
        assert [(problem.code, problem.field, problem.message) for problem in refusal.value.problems] == [
            ("item_not_found", "lines.0.sku", "There is no item NOPE."),
            ("item_archived", "lines.2.sku", "The item OLD is no longer sold."),
            ("item_not_found", "lines.3.item_id", f"There is no item {unknown}."),
        ]

    def test_of_an_archived_item_come_though_there_is_stock(self, make: Factory, session: Session) -> None:
        old = make.item(stock=5)
        session.execute(text("UPDATE items SET archived_at = now() WHERE id = :id"), {"id": old.id})

        with pytest.raises(ItemArchived):
            make.order((old, 1))

    def test_of_an_unknown_location_come_even_when_nothing_is_stocked(self, make: Factory) -> None:
        with pytest.raises(LocationUnknown) as refusal:
            make.order((make.item(is_stocked=False), 1), location_id=uuid4())

        assert refusal.value.problem.field == "location_id"


class TestPrices:
    def test_set_by_hand_apply_when_the_caller_may(self, make: Factory, session: Session) -> None:
        item = make.item(stock=5, unit_price=Decimal("2.50"))
        wanted = [orders.LineRequest(item_id=item.id, quantity=2, unit_price=Decimal("1.1234"))]

        order = orders.place(session, {"lines": wanted}, currency=GBP, by=make.caller(role="manager"))

        assert (order.lines[0].unit_price, order.lines[0].amount) == (Decimal("1.1234"), Decimal("2.2468"))
        assert order.total == Decimal("2.25")

    @pytest.mark.parametrize("role", ["customer", "clerk"])
    def test_set_by_hand_are_refused_from_all_others(self, make: Factory, session: Session, role: str) -> None:
        item = make.item(stock=5)
        wanted = [
            orders.LineRequest(item_id=item.id, quantity=1),
            orders.LineRequest(item_id=item.id, quantity=1, unit_price=Decimal("2.50")),
        ]
        by, before = make.caller(role=role), everything(session)["orders"]

        with pytest.raises(PriceNotAllowed) as refusal:
            orders.place(session, {"lines": wanted}, currency=GBP, by=by)

        assert refusal.value.problem.field == "lines.1.unit_price"
        assert everything(session)["orders"] == before

    @pytest.mark.parametrize(
        ("lines", "currency", "total"),
        [
            ([("0.0005", 10)], GBP, "0.00"),
            ([("0.0005", 30)], GBP, "0.02"),
            ([("0.0005", 50)], GBP, "0.02"),
            ([("0.0005", 51)], GBP, "0.03"),
            ([("0.004", 1), ("0.004", 1)], GBP, "0.01"),
            ([("1.115", 1)], GBP, "1.12"),
            ([("1.125", 1)], GBP, "1.12"),
            ([("0.001", 1_000_000), ("0.01", 3)], GBP, "1000.03"),
            ([("0.1", 3)], GBP, "0.30"),
            ([("0.5", 1)], YEN, "0"),
            ([("0.5", 3)], YEN, "2"),
        ],
    )
    def test_add_up_exactly_and_are_rounded_once_half_to_even(
        self, make: Factory, session: Session, lines: list[tuple[str, int]], currency: orders.Currency, total: str
    ) -> None:
        wanted = [
            orders.LineRequest(item_id=make.item(unit_price=Decimal(price), is_stocked=False).id, quantity=quantity)
            for price, quantity in lines
        ]

        order = orders.place(session, {"lines": wanted}, currency=currency, by=make.by)

        assert str(order.total) == total
        stored = session.scalar(text("SELECT total FROM orders WHERE id = :id"), {"id": order.id})
        assert stored == Decimal(total)
        assert [line.amount for line in order.lines] == [Decimal(price) * quantity for price, quantity in lines]


class TestLocations:
    def test_with_the_lowest_priority_number_serves_first(self, make: Factory, session: Session) -> None:
        last, first = make.location(priority=9), make.location(priority=1)
        item = self.stocked(make, (last, 5), (first, 5))

        make.order((item, 5))
        make.order((item, 2))

        assert level(session, item, first) == Level(5, 5)
        assert level(session, item, last) == Level(5, 2)

    def test_that_can_serve_the_whole_order_alone_goes_before_one_that_cannot(
        self, make: Factory, session: Session
    ) -> None:
        first, second = make.location(priority=1), make.location(priority=2)
        one, two = self.stocked(make, (first, 5), (second, 5)), self.stocked(make, (second, 5))

        make.order((one, 1), (two, 1))

        assert level(session, one, first) == Level(5, 0)
        assert level(session, one, second) == level(session, two, second) == Level(5, 1)

    def test_share_an_order_that_none_can_serve_alone(self, make: Factory, session: Session) -> None:
        first, second, third = (make.location(priority=priority) for priority in (1, 2, 3))
        item = self.stocked(make, (first, 2), (second, 3), (third, 4))
        other = self.stocked(make, (first, 9))

        order = make.order((item, 5), (other, 1), (item, 2))

        assert level(session, item, first) == Level(2, 0)
        assert level(session, item, second) == Level(3, 3)
        assert level(session, item, third) == Level(4, 4)
        assert level(session, other, first) == Level(9, 1)
        kept = session.execute(
            text("SELECT line_no, sum(quantity) FROM allocations WHERE owner_id = :id GROUP BY 1 ORDER BY 1"),
            {"id": order.id},
        ).all()
        assert [tuple(row) for row in kept] == [(1, 5), (2, 1), (3, 2)]
        assert differences(session) == []

    def test_that_are_named_serve_alone_or_not_at_all(self, make: Factory, session: Session) -> None:
        first, second = make.location(priority=1), make.location(priority=2)
        item = self.stocked(make, (first, 5), (second, 3))

        with pytest.raises(InsufficientStock) as refusal:
            make.order((item, 4), location_id=second.id)
        make.order((item, 3), location_id=second.id)

        assert refusal.value.problems[0].facts == {
            "item_id": str(item.id),
            "sku": item.sku,
            "requested": 4,
            "available": 3,
        }
        assert level(session, item, first) == Level(5, 0)
        assert level(session, item, second) == Level(3, 3)

    def test_all_give_back_what_they_shared_when_the_order_is_cancelled(self, make: Factory, session: Session) -> None:
        first, second = make.location(priority=1), make.location(priority=2)
        item = self.stocked(make, (first, 2), (second, 3))
        order = make.order((item, 2), (item, 3))

        orders.cancel(session, order.id, currency=GBP, by=make.by)

        assert level(session, item, first) == Level(2, 0)
        assert level(session, item, second) == Level(3, 0)
        assert differences(session) == []

    @staticmethod
    def stocked(make: Factory, *places: tuple[Location, int]) -> Item:
        item = make.item()
        for place, quantity in places:
            make.receive(item, quantity, at=place)
        return item


class TestCancelling:
    def test_gives_back_the_stock_and_says_why(self, make: Factory, session: Session) -> None:
        place = make.location()
        item, postage = make.item(stock=5, at=place), make.item(is_stocked=False)
        order, noise = make.order((item, 2), (postage, 1), (item, 1)), make.order((item, 2))

        cancelled = orders.cancel(session, order.id, currency=GBP, by=make.by, reason="Ordered twice")

        assert (cancelled.status, cancelled.cancel_reason, cancelled.version) == ("cancelled", "Ordered twice", 2)
        assert cancelled.cancelled_at == session.scalar(text("SELECT now()"))
        assert [line.cancelled_quantity for line in cancelled.lines] == [2, 1, 1]
        assert level(session, item, place) == Level(5, 2)
        assert orders.get(session, noise.id, by=make.by).status == "placed"
        assert differences(session) == []

    def test_tells_the_world_in_the_same_transaction(self, make: Factory, session: Session) -> None:
        item = make.item(stock=5)
        order = make.order((item, 1))

        orders.cancel(session, order.id, currency=GBP, by=make.by, reason="Ordered twice")

        news = session.execute(
            text("SELECT type, data FROM events WHERE subject_id = :id ORDER BY number"), {"id": order.id}
        ).all()
        assert [row.type for row in news] == ["order.placed", "order.cancelled"]
        assert news[1].data == {
            "number": order.number,
            "status": "cancelled",
            "reason": "Ordered twice",
            "lines": [{"line_no": 1, "item_id": str(item.id), "sku": item.sku, "quantity": 1}],
        }

    def test_twice_is_refused_and_gives_back_once(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(stock=5, at=place)
        order, _other = make.order((item, 2)), make.order((item, 1))
        orders.cancel(session, order.id, currency=GBP, by=make.by)
        before = everything(session)

        with pytest.raises(InvalidTransition):
            orders.cancel(session, order.id, currency=GBP, by=make.by)

        assert everything(session) == before
        assert level(session, item, place) == Level(5, 1)

    def test_makes_room_for_the_next_order(self, make: Factory) -> None:
        item = make.item(stock=1)
        orders.cancel(make.session, make.order((item, 1)).id, currency=GBP, by=make.by)

        assert make.order((item, 1)).status == "placed"


class TestWhoseOrderItIs:
    def test_a_customer_finds_and_cancels_only_their_own(
        self, make: Factory, session: Session, people: Sequence[Caller]
    ) -> None:
        ada, bob = people
        item = make.item(stock=5)
        hers, guest = make.order((item, 1), by=ada), make.order((item, 1))

        for stranger, order in ((bob, hers), (ada, guest)):
            with pytest.raises(OrderNotFound):
                orders.get(session, order.id, by=stranger)
            with pytest.raises(OrderNotFound):
                orders.cancel(session, order.id, currency=GBP, by=stranger)
        assert orders.get(session, hers.id, by=ada).customer_id == ada.user_id
        assert orders.cancel(session, hers.id, currency=GBP, by=ada).status == "cancelled"

    @pytest.mark.parametrize("role", ["clerk", "manager", "admin"])
    def test_staff_place_for_guests_and_find_everybodys(
        self, make: Factory, session: Session, people: Sequence[Caller], role: str
    ) -> None:
        staff, item = make.caller(role=role), make.item(stock=5)

        assert make.order((item, 1), by=staff).customer_id is None
        assert orders.get(session, make.order((item, 1), by=people[0]).id, by=staff).customer_id == people[0].user_id

    def test_an_order_nobody_placed_is_not_found(self, make: Factory, session: Session) -> None:
        with pytest.raises(OrderNotFound):
            orders.get(session, uuid4(), by=make.by)

    @pytest.fixture
    def people(self, make: Factory) -> Sequence[Caller]:
        return [make.caller(role="customer") for _ in range(2)]
