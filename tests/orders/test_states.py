"""The state machine: every way there is, and none besides."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest

from api.orders import service as orders
from api.orders import states
from api.orders.errors import InvalidTransition
from api.orders.models import STATUSES
from api.returns import service as returns
from api.shipments import service as shipments
from tests.conftest import PROJECT
from tests.factories import GBP
from tests.stock.reading import differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sqlalchemy.orm import Session

    from tests.factories import Factory

REACHED = {
    ("edit", "placed"): {"placed"},
    ("edit", "on_hold"): {"on_hold"},
    ("hold", "placed"): {"on_hold"},
    ("hold", "partially_shipped"): {"on_hold"},
    ("resume", "on_hold"): {"placed"},
    ("ship", "placed"): {"shipped"},
    ("ship", "partially_shipped"): {"shipped"},
    ("deliver", "partially_shipped"): {"partially_shipped"},
    ("deliver", "shipped"): {"delivered"},
    ("deliver", "returned"): {"returned"},
    ("cancel", "placed"): {"cancelled"},
    ("cancel", "on_hold"): {"cancelled"},
    ("cancel", "partially_shipped"): {"shipped"},
    ("return", "partially_shipped"): {"partially_shipped"},
    ("return", "shipped"): {"shipped"},
    ("return", "delivered"): {"delivered"},
    ("receive_return", "partially_shipped"): {"partially_shipped"},
    ("receive_return", "shipped"): {"returned"},
    ("receive_return", "delivered"): {"returned"},
}
"""What each of `ACTIONS` makes of an order of three units with this status; whatever is not here is refused."""

SHIPPED_BEFORE = {
    ("placed", "deliver"),
    ("on_hold", "deliver"),
    ("on_hold", "return"),
    ("on_hold", "receive_return"),
    ("delivered", "deliver"),
}
"""What the table allows to orders of which something has left: with postage sent ahead, or before a hold."""


class Case:
    """An order of three units, brought to a status by the ways there are."""

    def __init__(self, make: Factory, status: str) -> None:
        self.make, self.session = make, make.session
        item = make.item(stock=10)
        self.item = item
        self.order_id: UUID = make.order((item, 3)).id
        getattr(self, f"_{status}")()

    def _placed(self) -> None:
        """Be as it is when it is placed."""

    def _on_hold(self) -> None:
        orders.hold(self.session, self.order_id, reason="review", by=self.make.by)

    def _partially_shipped(self) -> None:
        self.ship(1)

    def _shipped(self) -> None:
        self.ship()

    def _delivered(self) -> None:
        self.ship()
        self.deliver()

    def _returned(self) -> None:
        self.ship()
        self.send_back()
        self.receive_return()

    def _cancelled(self) -> None:
        self.cancel()

    def edit(self) -> None:
        order = orders.locked(self.session, self.order_id, by=self.make.by, to="edit")
        lines = [orders.LineRequest(item_id=self.item.id, quantity=2)]
        orders.edit(self.session, order, {"lines": lines}, currency=GBP, by=self.make.by)

    def hold(self) -> None:
        orders.hold(self.session, self.order_id, reason="review", by=self.make.by)

    def resume(self) -> None:
        orders.resume(self.session, self.order_id, by=self.make.by)

    def ship(self, units: int | None = None) -> None:
        lines = [orders.LineChoice(line_no=1, quantity=units)] if units else None
        shipments.ship(self.session, self.order_id, lines=lines, by=self.make.by)

    def deliver(self) -> None:
        rows, _ = shipments.of_order(self.session, self.order_id, by=self.make.by).page(
            self.session, limit=1, after=None
        )
        if not rows:
            orders.locked(self.session, self.order_id, by=self.make.by, to="deliver")
        shipments.deliver(self.session, self.order_id, rows[0].id, by=self.make.by)

    def cancel(self) -> None:
        orders.cancel(self.session, self.order_id, currency=GBP, by=self.make.by)

    def send_back(self) -> None:
        returns.request(self.session, self.order_id, by=self.make.by)

    def receive_return(self) -> None:
        rows, _ = returns.of_order(self.session, self.order_id, by=self.make.by).page(self.session, limit=1, after=None)
        if not rows:
            orders.locked(self.session, self.order_id, by=self.make.by, to="receive_return")
            self.send_back()
            self.receive_return()
            return
        returns.receive(self.session, self.order_id, rows[0].id, by=self.make.by)

    @property
    def status(self) -> str:
        return orders.get(self.session, self.order_id, by=self.make.by).status


ACTIONS = {
    "edit": Case.edit,
    "hold": Case.hold,
    "resume": Case.resume,
    "ship": Case.ship,
    "deliver": Case.deliver,
    "cancel": Case.cancel,
    "return": Case.send_back,
    "receive_return": Case.receive_return,
}


@pytest.mark.parametrize(("action", "status"), sorted(product(ACTIONS, STATUSES)))
def test_everything_is_done_or_refused_as_the_table_says(
    make: Factory, session: Session, action: str, status: str
) -> None:
    case = Case(make, status)
    assert case.status == status

    if (action, status) in REACHED:
        ACTIONS[action](case)
        assert {case.status} == REACHED[action, status]
        assert case.status in states.TRANSITIONS[action][status]
    elif status in states.TRANSITIONS[action]:  # the table allows it to an order that has shipped something
        assert (status, action) in SHIPPED_BEFORE
    else:
        with pytest.raises(InvalidTransition, match=f"An order that is {status.replace('_', ' ')} cannot be"):
            ACTIONS[action](case)
        assert case.status == status
    assert differences(session) == []


def test_a_hold_on_an_order_that_has_shipped_something_lets_that_arrive_and_come_back(make: Factory) -> None:
    case = Case(make, "partially_shipped")
    case.hold()

    case.deliver()
    case.send_back()
    case.receive_return()
    still = case.status
    case.resume()

    assert (still, case.status) == ("on_hold", "partially_shipped")


def test_a_hold_ends_when_nothing_is_left_to_be_held(make: Factory, session: Session) -> None:
    case = Case(make, "partially_shipped")
    case.hold()

    case.cancel()

    order = orders.get(session, case.order_id, by=make.by)
    assert (order.status, order.held_at, order.hold_reason) == ("shipped", None, None)


def test_what_is_not_stocked_does_not_keep_an_order_open(make: Factory, session: Session) -> None:
    cup, postage = make.item(stock=2), make.item(is_stocked=False)
    order = make.order((cup, 2), (postage, 1))

    make.shipment(order, (cup, 1))
    partly = orders.get(session, order.id, by=make.by).status
    last = make.shipment(order, (cup, 1))

    assert partly == "partially_shipped"
    assert orders.get(session, order.id, by=make.by).status == "shipped"
    assert [(line.item_id, line.location_id is None) for line in last.lines] == [(cup.id, False), (postage.id, True)]


def test_the_diagram_in_the_documentation_is_that_of_the_table() -> None:
    assert states.diagram() in (PROJECT / "docs" / "orders.md").read_text("utf-8")


def test_the_table_knows_every_way_that_quantities_can_go() -> None:
    seen, ahead = set(), {(Counts(2, is_stocked=True), Counts(2, is_stocked=False), False)}
    while ahead:
        case = ahead.pop()
        seen.add(case)
        goods, service, is_held = case
        status = states.status_of([goods, service], is_held=is_held)
        for number, line in enumerate((goods, service)):
            for action, changed in line.ways():
                if status in states.TRANSITIONS[action]:
                    one, two = (changed, service) if number == 0 else (goods, changed)
                    after = states.follow(status, action, [one, two], is_held=is_held)
                    ahead |= {(one, two, is_held and after == "on_hold")} - seen
        for action, holds in (("hold", True), ("resume", False)):
            if status in states.TRANSITIONS[action]:
                states.follow(status, action, [goods, service], is_held=holds)
                ahead |= {(goods, service, holds)} - seen

    assert len(seen) > 500
    assert {states.status_of([goods, service], is_held=is_held) for goods, service, is_held in seen} == set(STATUSES)


class Counts(NamedTuple):
    """What has become of the units of a line."""

    quantity: int
    cancelled_quantity: int = 0
    shipped_quantity: int = 0
    delivered_quantity: int = 0
    returned_quantity: int = 0
    is_stocked: bool = True

    def ways(self) -> Iterator[tuple[str, Counts]]:
        """Tell what can be done to one unit."""
        if self.cancelled_quantity + self.shipped_quantity < self.quantity:
            yield "cancel", self._replace(cancelled_quantity=self.cancelled_quantity + 1)
            yield "ship", self._replace(shipped_quantity=self.shipped_quantity + 1)
        if self.delivered_quantity < self.shipped_quantity:
            yield "deliver", self._replace(delivered_quantity=self.delivered_quantity + 1)
        if self.returned_quantity < self.shipped_quantity:
            yield "receive_return", self._replace(returned_quantity=self.returned_quantity + 1)
