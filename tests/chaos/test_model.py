"""A model that Hypothesis plays against: after every step, PostgreSQL and a dictionary agree."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from api.extensions import db
from api.orders import service as orders
from api.orders.errors import InvalidTransition
from api.stock import service as stock
from api.stock.errors import InsufficientStock
from tests.factories import Factory
from tests.stock.reading import differences, level, sums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location

ITEMS, PLACES = 3, 2
QUIET = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

items = st.integers(0, ITEMS - 1)
places = st.integers(0, PLACES - 1)
amounts = st.integers(1, 12)
order_lines = st.lists(st.tuples(items, amounts), min_size=1, max_size=4)


class Warehouse(RuleBasedStateMachine):
    """Three items, two locations, and what a dictionary says about them."""

    placed, cancelled = Bundle("placed"), Bundle("cancelled")

    app: Flask

    def __init__(self) -> None:
        super().__init__()
        self.on_hand: Counter[tuple[int, int]] = Counter()
        self.reserved: Counter[tuple[int, int]] = Counter()
        self.held: dict[UUID, Counter[tuple[int, int]]] = {}

    @initialize()
    def open(self) -> None:
        with self.work() as make:
            self.places: list[Location] = [make.location(priority=number) for number in range(PLACES)]
            self.items: list[Item] = [make.item() for _ in range(ITEMS)]
            self.place_of = {place.id: number for number, place in enumerate(self.places)}
            self.item_of = {item.id: number for number, item in enumerate(self.items)}

    @rule(item=items, place=places, quantity=amounts)
    def receive(self, item: int, place: int, quantity: int) -> None:
        with self.work() as make:
            make.receive(self.items[item], quantity, at=self.places[place])
        self.on_hand[item, place] += quantity

    @rule(item=items, place=places, quantity=amounts, sign=st.sampled_from([1, -1]))
    def adjust(self, item: int, place: int, quantity: int, sign: int) -> None:
        line = stock.Line(item_id=self.items[item].id, quantity=sign * quantity)
        enough = self.available(item, place) + sign * quantity >= 0
        with self.work() as make, expecting(None if enough else InsufficientStock):
            stock.adjust(make.session, location_id=self.places[place].id, lines=[line], reason="found", by=make.by)
        if enough:
            self.on_hand[item, place] += sign * quantity

    @rule(target=placed, lines=order_lines, only=st.none() | places)
    def place(self, lines: list[tuple[int, int]], only: int | None) -> UUID | MultipleResults[UUID]:
        wanted: Counter[int] = Counter()
        for item, quantity in lines:
            wanted[item] += quantity
        asked = range(PLACES) if only is None else [only]
        enough = all(sum(self.available(item, place) for place in asked) >= wanted[item] for item in wanted)
        here = None if only is None else self.places[only].id
        with self.work() as make, expecting(None if enough else InsufficientStock):
            order = make.order(*((self.items[item], quantity) for item, quantity in lines), location_id=here)
        if not enough:
            return multiple()
        self.held[order.id] = self.allocations(order.id)
        for (item, place), quantity in self.held[order.id].items():
            assert place in asked
            assert quantity <= self.available(item, place)
            self.reserved[item, place] += quantity
            wanted[item] -= quantity
        assert not any(wanted.values())
        return order.id

    @rule(target=cancelled, order_id=consumes(placed))
    def cancel(self, order_id: UUID) -> UUID:
        with self.work() as make:
            orders.cancel(make.session, order_id, by=make.by)
        self.reserved.subtract(self.held.pop(order_id))
        return order_id

    @rule(order_id=cancelled)
    def cancel_again(self, order_id: UUID) -> None:
        with self.work() as make, expecting(InvalidTransition):
            orders.cancel(make.session, order_id, by=make.by)

    @invariant()
    def agree(self) -> None:
        with self.work() as make:
            for item, place in ((item, place) for item in range(ITEMS) for place in range(PLACES)):
                where = make.session, self.items[item], self.places[place]
                assert level(*where) == sums(*where) == (self.on_hand[item, place], self.reserved[item, place])
            assert [row for row in differences(make.session) if row.item_id in self.item_of] == []

    def available(self, item: int, place: int) -> int:
        return self.on_hand[item, place] - self.reserved[item, place]

    def allocations(self, order_id: UUID) -> Counter[tuple[int, int]]:
        query = text("SELECT item_id, location_id, quantity FROM allocations WHERE owner_id = :id")
        held: Counter[tuple[int, int]] = Counter()
        with self.work() as make:
            for item_id, place_id, quantity in make.session.execute(query, {"id": order_id}):
                held[self.item_of[item_id], self.place_of[place_id]] += quantity
        return held

    @contextmanager
    def work(self) -> Iterator[Factory]:
        with self.app.app_context():
            session: Session = db.session()
            yield Factory(session)
            session.commit()


@contextmanager
def expecting(refusal: type[Exception] | None) -> Iterator[None]:
    """Let a block fail with exactly this, or not at all."""
    if refusal is None:
        yield
        return
    try:
        yield
    except refusal:
        db.session.rollback()
        return
    message = f"{refusal.__name__} was expected"
    raise AssertionError(message)


def test_the_database_and_a_dictionary_agree_after_every_step(live_app: Flask) -> None:
    class Ours(Warehouse):
        app = live_app

    run_state_machine_as_test(Ours, settings=QUIET)
