"""What people are told: every kind of notification, of which event it tells, whom, and how, unless they choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from api.core.scopes import LADDER

NONE, EACH, DAILY = EMAILS = ("none", "each", "daily")
"""No mail, a mail at once, or one in the morning about everything since the last."""

STAFF, CUSTOMER = "staff", "customer"
"""Whom a kind is for: everybody from a role up, or the customer whose order it is about."""


class Way(NamedTuple):
    """How somebody is told of a kind of thing."""

    in_app: bool
    email: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of notification."""

    name: str
    event: str
    says: str
    audience: str
    lowest: str
    """The lowest role of those who are told, as far as it is for staff."""

    usual: Way
    usual_from: str = "customer"
    """The lowest role that is told unless it chooses otherwise; those below are told if they choose to."""

    def concerns(self, role: str) -> bool:
        """Tell whether people of a role can be told."""
        return self.audience == CUSTOMER or _rank(role) >= _rank(self.lowest)

    def way(self, role: str) -> Way:
        """Tell how people of a role are told who have not chosen."""
        return self.usual if _rank(role) >= _rank(self.usual_from) else Way(in_app=False, email=NONE)


def _rank(role: str) -> int:
    return LADDER.index(role)


def _of_order(name: str, event: str, says: str) -> Kind:
    return Kind(name, event, says, CUSTOMER, "customer", Way(in_app=True, email=EACH))


LOW_STOCK, WEBHOOK_DISABLED = "low_stock", "webhook_disabled"
_KINDS = (
    Kind(
        LOW_STOCK,
        "stock.low",
        "What is available of an item has fallen to its reorder point.",
        STAFF,
        "clerk",
        Way(in_app=True, email=DAILY),
        usual_from="manager",
    ),
    _of_order("order_placed", "order.placed", "Your order has come in."),
    _of_order("order_shipped", "order.shipped", "A parcel of your order is on its way."),
    _of_order("order_cancelled", "order.cancelled", "Your order is cancelled."),
    _of_order("return_received", "order.return_received", "What you sent back has arrived."),
    _of_order("backorder_filled", "order.backorder_filled", "Units that your order waited for are there."),
    Kind(
        WEBHOOK_DISABLED,
        "webhook_endpoint.disabled",
        "A webhook endpoint has failed for long and gets nothing more.",
        STAFF,
        "manager",
        Way(in_app=True, email=EACH),
    ),
)
KINDS: dict[str, Kind] = {one.name: one for one in _KINDS}
BY_EVENT: dict[str, Kind] = {one.event: one for one in _KINDS}


def roles_for(kinds: set[str]) -> list[str]:
    """Name the roles of the staff that any of these kinds is for."""
    wanted = [KINDS[name] for name in kinds if KINDS[name].audience == STAFF]
    return [role for role in LADDER if any(kind.concerns(role) for kind in wanted)]
