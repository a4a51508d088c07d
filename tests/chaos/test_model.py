"""A model that Hypothesis plays against: after every step, PostgreSQL and a dictionary agree."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
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

from api.counts import service as counts
from api.extensions import db
from api.locations import service as locations
from api.locations.models import Location
from api.orders import service as orders
from api.orders.errors import InvalidTransition
from api.stock import service as stock
from api.stock.errors import InsufficientStock, InsufficientStockThen
from api.transfers import service as transfers
from api.transfers.errors import ExceedsInTransit
from api.transfers.errors import InvalidTransition as TransferEnded
from tests.factories import GBP, Factory
from tests.stock.reading import differences, level, sums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item

ITEMS, PLACES = 3, 2
ROAD = PLACES
"""Stands for the location of what is in transit."""

MAY, DAY = datetime(2026, 5, 1, tzinfo=UTC), timedelta(days=1)
QUIET = settings(
    max_examples=15,
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
    """Three items, two locations and the road between them, and what a dictionary says about them."""

    placed, cancelled, sent, counted = Bundle("placed"), Bundle("cancelled"), Bundle("sent"), Bundle("counted")

    app: Flask

    def __init__(self) -> None:
        super().__init__()
        self.on_hand: Counter[tuple[int, int]] = Counter()
        self.reserved: Counter[tuple[int, int]] = Counter()
        self.held: dict[UUID, Counter[tuple[int, int]]] = {}
        self.journal: list[tuple[datetime, tuple[int, int], int, int]] = []
        self.carried: dict[UUID, tuple[int, int, int]] = {}
        self.found: dict[UUID, tuple[int, dict[int, int]]] = {}

    @initialize()
    def open(self) -> None:
        with self.work() as make:
            self.places: list[Location] = [make.location(priority=number) for number in range(PLACES)]
            self.items: list[Item] = [make.item() for _ in range(ITEMS)]
            road = make.session.get_one(Location, locations.transit(make.session))
            self.places.append(road)
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
            orders.cancel(make.session, order_id, currency=GBP, by=make.by)
        self.reserved.subtract(self.held.pop(order_id))
        return order_id

    @rule(order_id=cancelled)
    def cancel_again(self, order_id: UUID) -> None:
        with self.work() as make, expecting(InvalidTransition):
            orders.cancel(make.session, order_id, currency=GBP, by=make.by)

    @rule(item=items, place=places, quantity=amounts, sign=st.sampled_from([1, -1]), day=st.integers(0, 9))
    def adjust_in_the_past(self, item: int, place: int, quantity: int, sign: int, day: int) -> None:
        moment, key = MAY + day * DAY, (item, place)
        line = stock.Line(item_id=self.items[item].id, quantity=sign * quantity)
        lowest = min(self.known(key, then)[0] - self.known(key, then)[1] for then in [moment, *self.after(moment)])
        enough_now = self.available(item, place) + sign * quantity >= 0
        enough = enough_now and (sign > 0 or lowest >= quantity)
        refusal = None if enough else InsufficientStockThen if enough_now else InsufficientStock
        with self.work() as make, expecting(refusal):
            stock.adjust(
                make.session,
                location_id=self.places[place].id,
                lines=[line],
                reason="found",
                by=make.by,
                occurred_at=moment,
            )
        if enough:
            self.on_hand[key] += sign * quantity
            self.journal.append((moment, key, sign * quantity, 0))

    @rule(target=sent, item=items, origin=places, quantity=amounts, takes_time=st.booleans())
    def send(self, item: int, origin: int, quantity: int, *, takes_time: bool) -> UUID | MultipleResults[UUID]:
        enough = self.available(item, origin) >= quantity
        line = stock.Line(item_id=self.items[item].id, quantity=quantity)
        transfer: UUID | None = None
        with self.work() as make, expecting(None if enough else InsufficientStock):
            transfer = transfers.send(
                make.session,
                from_location_id=self.places[origin].id,
                to_location_id=self.places[1 - origin].id,
                lines=[line],
                by=make.by,
                in_transit=takes_time,
            ).id
        if transfer is None:
            return multiple()
        self.on_hand[item, origin] -= quantity
        self.on_hand[item, ROAD if takes_time else 1 - origin] += quantity
        if not takes_time:
            return multiple()
        self.reserved[item, ROAD] += quantity
        self.carried[transfer] = item, 1 - origin, quantity
        return transfer

    @rule(transfer=sent, quantity=amounts)
    def take_in(self, transfer: UUID, quantity: int) -> None:
        item, target, outstanding = self.carried[transfer]
        refusal = None if outstanding >= quantity else ExceedsInTransit if outstanding else TransferEnded
        lines = [stock.Line(item_id=self.items[item].id, quantity=quantity)]
        with self.work() as make, expecting(refusal):
            transfers.receive(make.session, transfer, by=make.by, lines=lines)
        if refusal is None:
            self.arrive(transfer, quantity, target)

    @rule(transfer=sent, is_lost=st.booleans())
    def give_up(self, transfer: UUID, *, is_lost: bool) -> None:
        _, target, outstanding = self.carried[transfer]
        with self.work() as make, expecting(None if outstanding else TransferEnded):
            if is_lost:
                transfers.write_off(make.session, transfer, reason="lost", by=make.by)
            else:
                transfers.cancel(make.session, transfer, by=make.by)
        self.arrive(transfer, outstanding, None if is_lost else 1 - target)

    @rule(target=counted, place=places)
    def open_a_count(self, place: int) -> UUID | MultipleResults[UUID]:
        if any(where == place for where, _ in self.found.values()):
            return multiple()
        with self.work() as make:
            count: UUID = counts.open_(make.session, location_id=self.places[place].id, by=make.by).id
        self.found[count] = place, {}
        return count

    @rule(count=counted, item=items, quantity=st.integers(0, 12))
    def count_again(self, count: UUID, item: int, quantity: int) -> None:
        if count not in self.found:
            return
        place, differences_found = self.found[count]
        line = counts.Found(item_id=self.items[item].id, quantity=quantity, recount=True)
        with self.work() as make:
            counts.enter(make.session, count, lines=[line], by=make.by)
        differences_found[item] = quantity - self.on_hand[item, place]

    @rule(count=consumes(counted))
    def post(self, count: UUID) -> None:
        place, differences_found = self.found.pop(count)
        enough = all(self.available(item, place) + units >= 0 for item, units in differences_found.items())
        with self.work() as make, expecting(None if enough else InsufficientStock):
            counts.post(make.session, count, by=make.by)
        if enough:
            self.on_hand.update({(item, place): units for item, units in differences_found.items()})
        else:
            with self.work() as make:
                counts.cancel(make.session, count, by=make.by)

    @invariant()
    def agree(self) -> None:
        with self.work() as make:
            for item, place in product(range(ITEMS), range(PLACES + 1)):
                where = make.session, self.items[item], self.places[place]
                assert level(*where) == sums(*where) == (self.on_hand[item, place], self.reserved[item, place])
            assert [row for row in differences(make.session) if row.item_id in self.item_of] == []
            self.note(make.session.execute(text("SELECT clock_timestamp()")).scalar_one())

    def teardown(self) -> None:
        """Look at every moment there was."""
        if not self.journal:
            return
        moments = sorted({moment for moment, *_ in self.journal})
        with self.work() as make:
            for moment in moments[:: max(1, len(moments) // 8)]:
                rows, _ = stock.levels(make.session, as_of=moment).page(make.session, limit=200, after=None)
                for row in rows:
                    if row.item_id in self.item_of:
                        key = self.item_of[row.item_id], self.place_of[row.location_id]
                        assert (row.on_hand, row.reserved) == self.known(key, moment)

    def note(self, moment: datetime) -> None:
        """Write down what has changed since it was last noted."""
        for key in {*self.on_hand, *self.reserved}:
            on_hand, reserved = self.known(key, moment)
            change = self.on_hand[key] - on_hand, self.reserved[key] - reserved
            if any(change):
                self.journal.append((moment, key, *change))

    def known(self, key: tuple[int, int], moment: datetime) -> tuple[int, int]:
        """Tell what was there at a moment, by what was written down."""
        lines = [line for line in self.journal if line[1] == key and line[0] <= moment]
        return sum(line[2] for line in lines), sum(line[3] for line in lines)

    def after(self, moment: datetime) -> list[datetime]:
        return [line[0] for line in self.journal if line[0] > moment]

    def arrive(self, transfer: UUID, quantity: int, target: int | None) -> None:
        item, destination, outstanding = self.carried[transfer]
        self.carried[transfer] = item, destination, outstanding - quantity
        self.on_hand[item, ROAD] -= quantity
        self.reserved[item, ROAD] -= quantity
        if target is not None:
            self.on_hand[item, target] += quantity

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
