"""The state machine of orders: what can be done in which status, and what may become of it. Knows no database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from api.orders.errors import InvalidTransition
from api.orders.models import (
    CANCELLED,
    DELIVERED,
    ON_HOLD,
    PARTIALLY_SHIPPED,
    PLACED,
    RETURNED,
    SHIPPED,
    STATUSES,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

TRANSITIONS: Mapping[str, Mapping[str, Collection[str]]] = {
    "edit": {PLACED: {PLACED}, ON_HOLD: {ON_HOLD}},
    "annotate": {status: {status} for status in STATUSES},
    "hold": {PLACED: {ON_HOLD}, PARTIALLY_SHIPPED: {ON_HOLD}},
    "resume": {ON_HOLD: {PLACED, PARTIALLY_SHIPPED}},
    "ship": {
        PLACED: {PLACED, PARTIALLY_SHIPPED, SHIPPED},
        PARTIALLY_SHIPPED: {PARTIALLY_SHIPPED, SHIPPED, DELIVERED, RETURNED},
    },
    "deliver": {
        PLACED: {PLACED},
        PARTIALLY_SHIPPED: {PARTIALLY_SHIPPED},
        ON_HOLD: {ON_HOLD},
        SHIPPED: {SHIPPED, DELIVERED},
        DELIVERED: {DELIVERED},
        RETURNED: {RETURNED},
    },
    "cancel": {
        PLACED: {PLACED, CANCELLED, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, RETURNED},
        ON_HOLD: {ON_HOLD, CANCELLED, SHIPPED, DELIVERED, RETURNED},
        PARTIALLY_SHIPPED: {PARTIALLY_SHIPPED, SHIPPED, DELIVERED, RETURNED},
    },
    "return": {status: {status} for status in (PARTIALLY_SHIPPED, ON_HOLD, SHIPPED, DELIVERED)},
    "receive_return": {
        PARTIALLY_SHIPPED: {PARTIALLY_SHIPPED},
        ON_HOLD: {ON_HOLD},
        SHIPPED: {SHIPPED, RETURNED},
        DELIVERED: {DELIVERED, RETURNED},
    },
    "pay": {status: {status} for status in STATUSES},
}
"""What can be done, from which status, and the statuses that may follow. Whatever is not here is refused."""

DONE = {
    "edit": "changed",
    "annotate": "changed",
    "hold": "put on hold",
    "resume": "taken up again",
    "ship": "shipped",
    "deliver": "delivered",
    "cancel": "cancelled",
    "return": "sent back",
    "receive_return": "received back",
    "pay": "paid",
}
"""How a refusal names it."""


class Line(Protocol):
    """What counts of a line."""

    @property
    def quantity(self) -> int:
        """Units ordered."""

    @property
    def cancelled_quantity(self) -> int:
        """Units cancelled since."""

    @property
    def shipped_quantity(self) -> int:
        """Units that have left."""

    @property
    def delivered_quantity(self) -> int:
        """Units of those that have arrived."""

    @property
    def returned_quantity(self) -> int:
        """Units of those that came back."""

    @property
    def is_stocked(self) -> bool:
        """Whether they are goods."""


def ensure(status: str, action: str) -> None:
    """Make sure that something can be done to an order with this status.

    Raises:
        InvalidTransition: it cannot.

    """
    if status not in TRANSITIONS[action]:
        raise InvalidTransition(status=status.replace("_", " "), done=DONE[action])


def status_of(lines: Sequence[Line], *, is_held: bool) -> str:
    """Tell the status of an order by its lines.

    The goods decide; what is not stocked goes along with the last of them. It counts where no goods are left to be
    shipped and it is, and where nothing else is ordered.
    """
    wanted = [line for line in lines if line.quantity > line.cancelled_quantity]
    goods = [line for line in wanted if line.is_stocked] or wanted
    shipped = sum(line.shipped_quantity for line in goods)
    if not wanted:
        return CANCELLED
    if any(line.quantity > line.cancelled_quantity + line.shipped_quantity for line in wanted):
        if is_held:
            return ON_HOLD
        return PARTIALLY_SHIPPED if shipped else PLACED
    if sum(line.returned_quantity for line in goods) == shipped:
        return RETURNED
    return DELIVERED if sum(line.delivered_quantity for line in goods) == shipped else SHIPPED


def follow(status: str, action: str, lines: Sequence[Line], *, is_held: bool) -> str:
    """Tell the status that follows when something has been done to the lines of an order.

    Raises:
        LookupError: the table of transitions does not know it, which is a bug.

    """
    after = status_of(lines, is_held=is_held)
    if after not in TRANSITIONS[action][status]:
        message = f"{action} leads from {status} to {after}, which no line of the table allows."
        raise LookupError(message)
    return after


def diagram() -> str:
    """Draw the state machine, in the language of Mermaid."""
    arrows = [f"    [*] --> {PLACED}"]
    for action, ways in TRANSITIONS.items():
        arrows += [
            f"    {before} --> {after}: {action}"
            for before in STATUSES
            for after in STATUSES
            if after != before and after in ways.get(before, ())
        ]
    return "\n".join(["stateDiagram-v2", *arrows])
