"""Receiving, adjusting and showing stock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.core import ids
from api.core.bulk import COPIED_FROM
from api.core.caller import Caller
from api.extensions import db
from api.items.errors import ItemNotFound
from api.locations.errors import LocationUnknown
from api.orders import service as orders
from api.stock import repository
from api.stock import service as stock
from api.stock.booking import Balance, Book, Cause, LevelKey
from api.stock.errors import InsufficientStock, ItemNotStocked, ItemUnknown, RepeatedItem
from api.stock.models import RECEIPT
from api.stock.repository import LevelChangedUnderLockError
from api.stock.schemas import REASONS
from tests.factories import GBP
from tests.live import committed
from tests.stock.reading import Level, differences, everything, ledger, level, many_items

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

    from tests.factories import Factory

type Post = Callable[..., stock.Posting]


def line(item_id: UUID, quantity: int) -> stock.Line:
    return stock.Line(item_id=item_id, quantity=quantity)


class TestReceiving:
    def test_adds_to_what_lies_there_and_promises_nothing(self, make: Factory, session: Session) -> None:
        place, elsewhere = make.location(), make.location()
        item = make.item(stock=10, at=place)

        make.receive(item, 5, at=place)
        make.receive(item, 7, at=elsewhere)

        assert level(session, item, place) == Level(15, 0)
        assert level(session, item, elsewhere) == Level(7, 0)

    def test_writes_a_ledger_line_for_each_item_that_tells_everything(self, make: Factory, session: Session) -> None:
        place, one, two = make.location(), make.item(), make.item(stock=3)
        by = replace(make.caller(role="clerk"), request_id="request-7")
        moment = datetime(2020, 2, 29, 12, tzinfo=UTC)

        posting = stock.receive(
            session,
            location_id=place.id,
            lines=[line(one.id, 4), line(two.id, 6)],
            by=by,
            reference="DN-1",
            occurred_at=moment,
        )

        assert [(movement.item_id, movement.quantity) for movement in posting.movements] == [(one.id, 4), (two.id, 6)]
        (row,) = ledger(session, one)
        assert row.id == posting.movements[0].id
        assert (row.kind, row.on_hand_change, row.reserved_change, row.on_hand, row.reserved) == ("receipt", 4, 0, 4, 0)
        assert (row.sequence, row.reason, row.reference, row.source_id) == (1, None, "DN-1", None)
        assert (row.actor_id, row.request_id) == (by.user_id, "request-7")
        assert row.occurred_at == moment
        assert row.recorded_at == posting.movements[0].recorded_at
        assert (
            session.scalar(text("SELECT now()")) <= row.recorded_at <= session.scalar(text("SELECT clock_timestamp()"))
        )

    def test_tells_the_world_in_the_same_transaction(self, make: Factory, session: Session) -> None:
        place, item = make.location(), make.item()

        make.receive(item, 4, at=place)

        event = session.execute(
            text("SELECT * FROM events WHERE subject_id = :id AND type LIKE 'stock.%'"), {"id": place.id}
        ).one()
        assert event.type == "stock.received"
        assert event.data["lines"] == [{"item_id": str(item.id), "quantity": 4}]


class TestAdjusting:
    @pytest.mark.parametrize("reason", REASONS)
    def test_works_for_every_reason_and_writes_it_down(self, make: Factory, session: Session, reason: str) -> None:
        place = make.location()
        item = make.item(stock=10, at=place)

        stock.adjust(session, location_id=place.id, lines=[line(item.id, -3)], reason=reason, by=make.by)

        last = ledger(session, item)[-1]
        assert (last.kind, last.reason, last.on_hand_change, last.on_hand) == ("adjustment", reason, -3, 7)

    def test_can_add_to_a_level_that_never_was(self, make: Factory, session: Session) -> None:
        place, item = make.location(), make.item()

        stock.adjust(session, location_id=place.id, lines=[line(item.id, 2)], reason="found", by=make.by)

        assert level(session, item, place) == Level(2, 0)

    def test_may_take_the_last_available_unit_but_none_that_is_promised(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(stock=10, at=place)
        make.order((item, 4))

        with pytest.raises(InsufficientStock) as refusal:
            stock.adjust(session, location_id=place.id, lines=[line(item.id, -7)], reason="lost", by=make.by)
        stock.adjust(session, location_id=place.id, lines=[line(item.id, -6)], reason="lost", by=make.by)

        (problem,) = refusal.value.problems
        assert problem.facts == {"item_id": str(item.id), "sku": item.sku, "requested": 7, "available": 6}
        assert level(session, item, place) == Level(4, 4)

    def test_reports_every_shortage_and_changes_nothing(self, make: Factory, session: Session) -> None:
        place = make.location()
        many, few, none = (make.item(stock=quantity, at=place) for quantity in (10, 2, 1))
        before = everything(session)

        with pytest.raises(InsufficientStock) as refusal:
            stock.adjust(
                session,
                location_id=place.id,
                lines=[line(few.id, -3), line(many.id, -10), line(none.id, -2)],
                reason="damaged",
                by=make.by,
            )

        assert [(problem.field, problem.facts) for problem in refusal.value.problems] == [
            ("lines.0.quantity", {"item_id": str(few.id), "sku": few.sku, "requested": 3, "available": 2}),
            ("lines.2.quantity", {"item_id": str(none.id), "sku": none.sku, "requested": 2, "available": 1}),
        ]
        assert everything(session) == before


class TestBadLines:
    def test_are_all_reported_each_at_its_place(self, make: Factory, session: Session, post: Post) -> None:
        good, postage = make.item(), make.item(is_stocked=False)
        lines = [line(good.id, 1), line(uuid4(), 1), line(postage.id, 1), line(good.id, 2)]

        with pytest.raises(ItemUnknown) as refusal:
            post(session, location_id=make.location().id, lines=lines, by=make.by)

        assert [(problem.code, problem.field) for problem in refusal.value.problems] == [
            ("item_not_found", "lines.1.item_id"),
            ("item_not_stocked", "lines.2.item_id"),
            ("repeated_item", "lines.3.item_id"),
        ]
        assert refusal.value.problem.field == "lines.1.item_id"
        assert ledger(session, good) == []

    @pytest.mark.parametrize(("is_stocked", "error"), [(True, RepeatedItem), (False, ItemNotStocked)])
    def test_lend_the_first_one_as_the_headline(
        self, make: Factory, session: Session, post: Post, *, is_stocked: bool, error: type[Exception]
    ) -> None:
        item = make.item(is_stocked=is_stocked)

        with pytest.raises(error):
            post(session, location_id=make.location().id, lines=[line(item.id, 1), line(item.id, 1)], by=make.by)

    def test_cannot_name_an_unknown_location(self, make: Factory, session: Session, post: Post) -> None:
        with pytest.raises(LocationUnknown) as refusal:
            post(session, location_id=uuid4(), lines=[line(make.item().id, 1)], by=make.by)

        assert refusal.value.problem.field == "location_id"

    @pytest.fixture(params=["receive", "adjust"])
    def post(self, request: pytest.FixtureRequest) -> Post:
        def adjust(session: Session, **facts: object) -> stock.Posting:
            return stock.adjust(session, **facts, reason="found")  # type: ignore[arg-type]  # as the test gives them

        return stock.receive if request.param == "receive" else adjust


class TestPromising:
    def test_numbers_every_movement_of_a_level_without_gaps(self, make: Factory, session: Session) -> None:
        place = make.location()
        item, noise = make.item(stock=9, at=place), make.item(stock=9, at=place)
        order = make.order((item, 3), (noise, 1))
        stock.adjust(session, location_id=place.id, lines=[line(item.id, -1)], reason="sample", by=make.by)
        stock.release(session, order.id, by=make.by)

        rows = ledger(session, item)

        assert [row.sequence for row in rows] == [1, 2, 3, 4]
        assert [(row.kind, row.on_hand_change, row.reserved_change, row.on_hand, row.reserved) for row in rows] == [
            ("receipt", 9, 0, 9, 0),
            ("reserve", 0, 3, 9, 3),
            ("adjustment", -1, 0, 8, 3),
            ("release", 0, -3, 8, 0),
        ]
        assert [row.source_id for row in rows] == [None, order.id, None, order.id]

    def test_of_several_promises_counts_what_the_earlier_ones_took(self, make: Factory, session: Session) -> None:
        item = make.item(stock=10)
        promises = [stock.Promise(ids.new(), [stock.Demand(1, item.id, 6)]) for _ in range(2)]
        before = everything(session)

        with pytest.raises(InsufficientStock) as refusal:
            stock.reserve_all(session, promises, by=make.by)

        assert refusal.value.problems[0].facts == {"item_id": str(item.id), "sku": None, "requested": 6, "available": 4}
        assert everything(session) == before

    def test_of_nothing_asks_the_database_nothing(self, make: Factory, session: Session) -> None:
        before = everything(session)

        stock.reserve_all(session, [stock.Promise(ids.new(), [])], by=make.by)

        assert everything(session) == before

    def test_can_be_given_back_in_part_line_by_line_and_place_by_place(self, make: Factory, session: Session) -> None:
        near, far = make.location(priority=1), make.location(priority=2)
        item, other = make.item(stock=4, at=near), make.item(stock=9, at=near)
        make.receive(item, 3, at=far)
        order = make.order((item, 6), (other, 5))

        stock.release(session, order.id, by=make.by, quantities={1: 5})

        assert level(session, item, near) == Level(4, 0)
        assert level(session, item, far) == Level(3, 1)
        assert level(session, other, near) == Level(9, 5)
        kept = session.execute(
            text("SELECT line_no, quantity FROM allocations WHERE owner_id = :id ORDER BY 1"), {"id": order.id}
        ).all()
        assert [tuple(row) for row in kept] == [(1, 1), (2, 5)]

    def test_that_is_given_back_twice_is_given_back_once(self, make: Factory, session: Session) -> None:
        place = make.location()
        item = make.item(stock=4, at=place)
        order = make.order((item, 3))

        stock.release(session, order.id, by=make.by)
        stock.release(session, order.id, by=make.by)

        assert level(session, item, place) == Level(4, 0)
        assert len(ledger(session, item)) == 3


class TestWriting:
    def test_thousands_of_movements_at_once_are_as_complete_as_few(self, make: Factory, session: Session) -> None:
        place, items = make.location(), many_items(session, 1000)
        lines = [line(item_id, 9) for item_id in items]
        rounds = COPIED_FROM // len(items) + 1

        stock.receive(session, location_id=place.id, lines=lines, by=make.by)
        promises = [stock.Promise(ids.new(), [stock.Demand(1, item_id, 1)]) for item_id in items * rounds]
        stock.reserve_all(session, promises, by=make.by)

        reserved = session.execute(text("SELECT DISTINCT reserved FROM stock_levels")).all()
        assert [tuple(row) for row in reserved] == [(rounds,)]
        numbers = text("SELECT DISTINCT kind, sequence, reserved FROM stock_movements ORDER BY sequence")
        assert [tuple(row) for row in session.execute(numbers)] == [
            ("receipt", 1, 0),
            *[("reserve", number + 1, number) for number in range(1, rounds + 1)],
        ]
        assert session.scalar(text("SELECT count(*) FROM allocations")) == len(promises)
        assert {row.kind for row in differences(session)} == {"an order holds other than it owes"}

    def test_on_a_level_that_changed_under_the_lock_is_a_bug_and_writes_nothing(
        self, make: Factory, session: Session
    ) -> None:
        place = make.location()
        item = make.item(stock=5, at=place)
        key = LevelKey(item.id, place.id)
        book = Book({key: Balance(5, 0, version=7)}, make.by)
        book.move(key, Cause(RECEIPT), on_hand=1)
        before = everything(session)

        with pytest.raises(LevelChangedUnderLockError), session.begin_nested():
            repository.write(session, book)

        assert everything(session) == before


class TestAvailability:
    def test_is_told_in_all_and_per_location(self, make: Factory, session: Session) -> None:
        near, far = make.location(priority=1), make.location(priority=2)
        item, _noise = make.item(stock=5, at=near), make.item(stock=50, at=near)
        make.receive(item, 8, at=far)
        make.order((item, 6))

        found = stock.availability(session, item.id)

        assert (found.on_hand, found.reserved, found.available) == (13, 6, 7)
        assert {here.location_id: (here.on_hand, here.reserved, here.available) for here in found.locations} == {
            near.id: (5, 0, 5),
            far.id: (8, 6, 2),
        }

    def test_of_an_item_never_received_is_nothing_at_no_location(self, make: Factory, session: Session) -> None:
        found = stock.availability(session, make.item().id)

        assert (found.on_hand, found.reserved, found.available, list(found.locations)) == (0, 0, 0, [])

    @pytest.mark.usefixtures("make")
    def test_of_an_unknown_item_is_an_error(self, session: Session) -> None:
        with pytest.raises(ItemNotFound):
            stock.availability(session, uuid4())


def test_every_path_leaves_the_integrity_view_empty(make: Factory, session: Session) -> None:
    place = make.location()
    item = make.item(stock=30, at=place)
    first, second = make.order((item, 3), (item, 4)), make.order((item, 5))
    stock.adjust(session, location_id=place.id, lines=[line(item.id, -2)], reason="lost", by=make.by)

    orders.cancel(session, first.id, currency=GBP, by=make.by)

    assert level(session, item, place) == Level(28, 5)
    assert second.status == "placed"
    assert differences(session) == []


def test_giving_back_twice_at_once_gives_back_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        item = make.item(stock=10)
        first, second = make.order((item, 5)), make.order((item, 5))
    at_once = Barrier(2)

    def give_back() -> None:
        with live_app.app_context(), db.session.begin():
            at_once.wait()
            stock.release(db.session(), first.id, by=Caller.system())

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(give_back) for _ in range(2)]:
            done.result()

    with live_app.app_context():
        assert {row.order_id for row in stock.verify(db.session()).differences} == {first.id}, (
            "which owes what it no longer holds"
        )
        assert stock.availability(db.session(), item.id).reserved == second.lines[0].quantity
