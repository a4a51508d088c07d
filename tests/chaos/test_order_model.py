"""A second model: orders, reservations, shipments and returns, from the promise to what becomes of it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from api.extensions import db
from api.orders import service as orders
from api.orders.errors import AlreadyShipped, ExceedsOutstanding, InvalidTransition
from api.reservations import service as reservations
from api.reservations.errors import ReservationEnded
from api.returns import service as returns
from api.shipments import service as shipments
from api.shipments.errors import NothingToShip
from api.stock import service as stock
from api.stock.errors import InsufficientStock, NotAllocated
from tests.chaos.test_model import expecting
from tests.factories import GBP, Factory
from tests.stock.reading import differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from flask import Flask

    from api.items.models import Item
    from api.locations.models import Location

ITEMS, PLACES = 3, 2
WAITS = (1, 2)
"""Items that may be backordered."""

OVER = "UPDATE {} SET expires_at = now() - interval '1 second' WHERE {} = :id"
QUIET = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

items = st.integers(0, ITEMS - 1)
amounts = st.integers(1, 9)
picks = st.integers(0, 50)
wishes = st.dictionaries(items, amounts, min_size=1, max_size=ITEMS)


@dataclass
class Line:
    """What the model knows about one line of an order."""

    item: int
    kept: int = 0
    waiting: int = 0
    shipped: int = 0
    returned: int = 0
    cancelled: int = 0

    @property
    def outstanding(self) -> int:
        return self.kept + self.waiting


@dataclass
class Order:
    """What the model knows about an order, by line number."""

    id: UUID
    lines: dict[int, Line] = field(default_factory=dict)
    is_held: bool = False

    @property
    def status(self) -> str:
        shipped = sum(line.shipped for line in self.lines.values())
        if any(line.outstanding for line in self.lines.values()):
            return "on_hold" if self.is_held else "partially_shipped" if shipped else "placed"
        if not shipped:
            return "cancelled"
        return "returned" if shipped == sum(line.returned for line in self.lines.values()) else "shipped"

    @property
    def is_open(self) -> bool:
        return self.status in {"placed", "on_hold", "partially_shipped"}


class Shop(RuleBasedStateMachine):
    """Three items, two of which may be backordered, and what dictionaries say about them."""

    app: Flask

    def __init__(self) -> None:
        super().__init__()
        self.on_hand: Counter[int] = Counter()
        self.kept: dict[UUID, Counter[int]] = {}
        """What reservations keep."""
        self.over: dict[UUID, Counter[int]] = {}
        """What reservations keep whose time is over, as nobody has written down yet."""
        self.orders: list[Order] = []
        self.queue: list[tuple[Order, int]] = []
        """Lines that wait, the oldest first."""

    @initialize()
    def open(self) -> None:
        with self.work() as make:
            self.places: list[Location] = [make.location(priority=number) for number in range(PLACES)]
            self.items: list[Item] = [
                make.item(backorders="allow" if number in WAITS else "deny") for number in range(ITEMS)
            ]
            self.item_of = {item.id: number for number, item in enumerate(self.items)}
            for item in self.items:  # so that there are levels: a backorder waits at those
                for place in self.places:
                    make.receive(item, 1, at=place)
        self.on_hand = Counter(dict.fromkeys(range(ITEMS), PLACES))

    @rule(item=items, place=st.integers(0, PLACES - 1), quantity=amounts)
    def receive(self, item: int, place: int, quantity: int) -> None:
        with self.work() as make:
            make.receive(self.items[item], quantity, at=self.places[place])
        self.on_hand[item] += quantity
        self.serve(item)

    @rule(wanted=wishes)
    def place(self, wanted: dict[int, int]) -> None:
        refused = self.make_room(wanted)
        placed: list[orders.Placed] = []
        with self.work() as make, expecting(InsufficientStock if refused else None):
            placed.append(make.order(*((self.items[item], quantity) for item, quantity in wanted.items())))
        if not refused:
            order = Order(placed[0].id)
            self.orders.append(order)
            for number, (item, quantity) in enumerate(wanted.items(), start=1):
                order.lines[number] = Line(item)
                self.promise(order, number, quantity)
            assert [line.backordered_quantity for line in placed[0].lines] == [
                line.waiting for line in order.lines.values()
            ]

    @rule(wanted=wishes)
    def reserve(self, wanted: dict[int, int]) -> None:
        refused = self.make_room(wanted, may_wait=False)
        made: list[UUID] = []
        with self.work() as make, expecting(InsufficientStock if refused else None):
            made.append(make.reservation(*((self.items[item], quantity) for item, quantity in wanted.items())).id)
        if not refused:
            self.kept[made[0]] = Counter(wanted)

    @precondition(lambda self: self.kept)
    @rule(pick=picks)
    def time_passes(self, pick: int) -> None:
        held = sorted(self.kept)[pick % len(self.kept)]
        with self.work() as make:
            for table, key in (("reservations", "id"), ("allocations", "owner_id")):
                make.session.execute(text(OVER.format(table, key)), {"id": held})
        self.over[held] = self.kept.pop(held)

    @rule()
    def sweep(self) -> None:
        with self.work() as make:
            assert reservations.lapse(make.session, by=make.by) >= bool(self.over)
        freed = {item for one in self.over.values() for item in one}
        self.over.clear()
        for item in freed:
            self.serve(item)

    @precondition(lambda self: self.kept or self.over)
    @rule(pick=picks, becomes_order=st.booleans())
    def end_a_reservation(self, pick: int, *, becomes_order: bool) -> None:
        known = sorted({**self.kept, **self.over})
        chosen = known[pick % len(known)]
        made: list[orders.Placed] = []
        with self.work() as make, expecting(ReservationEnded if chosen in self.over else None):
            if becomes_order:
                request = orders.OrderRequest(reservation_id=chosen)
                made.append(orders.place(make.session, request, currency=GBP, by=make.by))
            else:
                reservations.release(make.session, chosen, by=make.by)
        if chosen in self.over:
            return
        held = self.kept.pop(chosen)
        if becomes_order:
            lines = {line.line_no: Line(self.item_of[line.item_id], kept=line.quantity) for line in made[0].lines}
            assert Counter({line.item: line.kept for line in lines.values()}) == held
            self.orders.append(Order(made[0].id, lines))
        else:
            for item in held:
                self.serve(item)

    @precondition(lambda self: self.orders)
    @rule(pick=picks, wanted=wishes)
    def edit(self, pick: int, wanted: dict[int, int]) -> None:
        order = self.orders[pick % len(self.orders)]
        has_shipped = any(line.shipped for line in order.lines.values())
        if order.status not in {"placed", "on_hold"}:
            refusal: type[Exception] | None = InvalidTransition
        elif has_shipped:
            refusal = AlreadyShipped
        else:
            refusal = None
        before = self.snapshot()
        if refusal is None and self.rewrite(order, wanted):
            refusal = InsufficientStock
        lines = [orders.LineRequest(item_id=self.items[item].id, quantity=n) for item, n in wanted.items()]
        with self.work() as make, expecting(refusal):
            found = orders.locked(make.session, order.id, by=make.by, to="annotate")
            orders.edit(make.session, found, {"lines": lines}, currency=GBP, by=make.by)
        if refusal is not None:
            self.restore(before)

    @precondition(lambda self: self.orders)
    @rule(pick=picks, line=picks, quantity=amounts, is_whole=st.booleans())
    def cancel(self, pick: int, line: int, quantity: int, *, is_whole: bool) -> None:
        order = self.orders[pick % len(self.orders)]
        number = sorted(order.lines)[line % len(order.lines)]
        units = {no: one.outstanding for no, one in order.lines.items()} if is_whole else {number: quantity}
        refusal: type[Exception] | None = None
        if not order.is_open:
            refusal = InvalidTransition
        elif not is_whole and quantity > order.lines[number].outstanding:
            refusal = ExceedsOutstanding
        chosen = None if is_whole else [orders.LineChoice(line_no=number, quantity=quantity)]
        with self.work() as make, expecting(refusal):
            orders.cancel(make.session, order.id, currency=GBP, by=make.by, lines=chosen)
        if refusal is None:
            for no, amount in units.items():
                self.give_back(order, no, amount)
                order.lines[no].cancelled += amount
            self.settle(order)
            for no in units:
                self.serve(order.lines[no].item)

    @precondition(lambda self: self.orders)
    @rule(pick=picks)
    def hold_or_resume(self, pick: int) -> None:
        order = self.orders[pick % len(self.orders)]
        with self.work() as make, expecting(None if order.is_open else InvalidTransition):
            if order.is_held:
                orders.resume(make.session, order.id, by=make.by)
            else:
                orders.hold(make.session, order.id, reason="review", by=make.by)
        if order.is_open:
            order.is_held = not order.is_held

    @precondition(lambda self: self.orders)
    @rule(pick=picks, line=picks, quantity=amounts, is_whole=st.booleans())
    def ship(self, pick: int, line: int, quantity: int, *, is_whole: bool) -> None:
        order = self.orders[pick % len(self.orders)]
        number = sorted(order.lines)[line % len(order.lines)]
        there = order.lines[number]
        refusal: type[Exception] | None = None
        if order.status not in {"placed", "partially_shipped"}:
            refusal = InvalidTransition
        elif is_whole and not any(one.kept for one in order.lines.values()):
            refusal = NothingToShip
        elif not is_whole and quantity > there.outstanding:
            refusal = ExceedsOutstanding
        elif not is_whole and quantity > there.kept:
            refusal = NotAllocated
        chosen = None if is_whole else [orders.LineChoice(line_no=number, quantity=quantity)]
        with self.work() as make, expecting(refusal):
            shipments.ship(make.session, order.id, lines=chosen, by=make.by)
        if refusal is None:
            units = {no: one.kept for no, one in order.lines.items()} if is_whole else {number: quantity}
            for no, amount in units.items():
                order.lines[no].kept -= amount
                order.lines[no].shipped += amount
                self.on_hand[order.lines[no].item] -= amount

    @precondition(lambda self: any(order.status in {"shipped", "partially_shipped"} for order in self.orders))
    @rule(pick=picks, quantity=amounts, condition=st.sampled_from(["resellable", "damaged"]))
    def send_back(self, pick: int, quantity: int, condition: str) -> None:
        able = [order for order in self.orders if order.status in {"shipped", "partially_shipped"}]
        order = able[pick % len(able)]
        numbers = [no for no, line in order.lines.items() if line.shipped > line.returned]
        if not numbers:
            return
        line = order.lines[numbers[0]]
        units = min(quantity, line.shipped - line.returned)
        with self.work() as make:
            choice = orders.LineChoice(line_no=numbers[0], quantity=units)
            asked = returns.request(make.session, order.id, lines=[choice], by=make.by)
            back = returns.ReceivedLine(line_no=numbers[0], quantity=units, condition=condition)
            returns.receive(make.session, order.id, asked.id, lines=[back], by=make.by)
        line.returned += units
        if condition == "resellable":
            self.on_hand[line.item] += units
            self.serve(line.item)

    @invariant()
    def agree(self) -> None:
        with self.work() as make:
            for number, item in enumerate(self.items):
                shown = stock.availability(make.session, item.id)
                assert (shown.on_hand, shown.available) == (self.on_hand[number], self.shown(number))
            assert [row for row in differences(make.session) if row.item_id in {None, *self.item_of}] == []
            for order in self.orders:
                found = orders.get(make.session, order.id, by=make.by)
                assert found.status == order.status
                assert {
                    line.line_no: (
                        line.quantity,
                        line.cancelled_quantity,
                        line.shipped_quantity,
                        line.returned_quantity,
                        line.backordered_quantity,
                    )
                    for line in found.lines
                } == {
                    no: (
                        one.outstanding + one.shipped + one.cancelled,
                        one.cancelled,
                        one.shipped,
                        one.returned,
                        one.waiting,
                    )
                    for no, one in order.lines.items()
                }

    def make_room(self, wanted: dict[int, int], *, may_wait: bool = True) -> bool:
        """Let holds lapse that are over where that is needed; tells whether what is wanted is refused all the same."""
        before = self.snapshot()
        if any(quantity > self.available(item) for item, quantity in wanted.items()):
            for held in self.over.values():
                for item in wanted:
                    held.pop(item, None)
            for item in wanted:
                self.serve(item)
        is_short = [item for item, quantity in wanted.items() if quantity > self.available(item)]
        if any(item not in WAITS or not may_wait for item in is_short):
            self.restore(before)
            return True
        return False

    def rewrite(self, order: Order, wanted: dict[int, int]) -> bool:
        """Give an order other lines; tells whether that is refused."""
        numbers = {line.item: no for no, line in order.lines.items() if line.outstanding}
        more: dict[int, int] = {}
        for item, no in numbers.items():
            line, target = order.lines[no], wanted.get(item, 0)
            if target < line.outstanding:
                self.give_back(order, no, line.outstanding - target)
            elif target > line.outstanding:
                more[no] = target - line.outstanding
        fresh = max(order.lines) + 1
        for item in (item for item in wanted if item not in numbers):
            order.lines[fresh] = Line(item)
            more[fresh] = wanted[item]
            fresh += 1
        if self.make_room({order.lines[no].item: units for no, units in more.items()}):
            return True
        for no, units in more.items():
            self.promise(order, no, units)
        for no in [no for no, line in order.lines.items() if not (line.outstanding or line.cancelled)]:
            del order.lines[no]
        for item in range(ITEMS):
            self.serve(item)
        return False

    def promise(self, order: Order, number: int, quantity: int) -> None:
        line = order.lines[number]
        kept = min(quantity, self.available(line.item))
        line.kept += kept
        if quantity > kept:
            self.queue = [one for one in self.queue if one != (order, number)] + [(order, number)]
            line.waiting += quantity - kept

    def give_back(self, order: Order, number: int, quantity: int) -> None:
        """Take units off a line, those that wait first."""
        line = order.lines[number]
        waiting = min(quantity, line.waiting)
        line.waiting -= waiting
        line.kept -= quantity - waiting

    def serve(self, item: int) -> None:
        """Keep what is available for those who have waited longest."""
        self.queue = [(order, no) for order, no in self.queue if no in order.lines and order.lines[no].waiting]
        for order, no in self.queue:
            line = order.lines[no]
            if line.item == item:
                units = min(line.waiting, self.available(item))
                line.kept += units
                line.waiting -= units

    def settle(self, order: Order) -> None:
        """A hold ends when nothing is left to be held."""
        if not any(line.outstanding for line in order.lines.values()):
            order.is_held = False

    def available(self, item: int) -> int:
        """Tell what can be promised, as it is written down."""
        return self.shown(item) - sum(held[item] for held in self.over.values())

    def shown(self, item: int) -> int:
        """Tell what readers see as available."""
        promised = sum(line.kept for order in self.orders for line in order.lines.values() if line.item == item)
        return self.on_hand[item] - promised - sum(held[item] for held in self.kept.values())

    def snapshot(self) -> tuple[dict[UUID, Counter[int]], list[tuple[Order, int]], list[tuple[Order, dict[int, Line]]]]:
        lines = [(order, {no: Line(**vars(line)) for no, line in order.lines.items()}) for order in self.orders]
        return {held: Counter(units) for held, units in self.over.items()}, list(self.queue), lines

    def restore(
        self,
        snapshot: tuple[dict[UUID, Counter[int]], list[tuple[Order, int]], Sequence[tuple[Order, dict[int, Line]]]],
    ) -> None:
        self.over, self.queue = {held: Counter(units) for held, units in snapshot[0].items()}, list(snapshot[1])
        for order, lines in snapshot[2]:
            order.lines = {no: Line(**vars(line)) for no, line in lines.items()}

    @contextmanager
    def work(self) -> Iterator[Factory]:
        with self.app.app_context():
            session = db.session()
            yield Factory(session)
            session.commit()


def test_orders_come_from_promise_to_return_as_a_dictionary_says(live_app: Flask) -> None:
    class Ours(Shop):
        app = live_app

    run_state_machine_as_test(Ours, settings=QUIET)
