"""Things tests need. Each is flushed and expired, so that a test reads what the database says."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from ipaddress import ip_network
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, update

from api.auth import service as auth
from api.auth import tokens
from api.core import ids
from api.core.caller import Caller
from api.core.vault import Vault
from api.counts import service as counts
from api.items import service as items
from api.locations import service as locations
from api.notifications.models import Notification
from api.orders import service as orders
from api.payments import service as payments
from api.reservations import service as reservations
from api.returns import service as returns
from api.shipments import service as shipments
from api.stock import service as stock
from api.transfers import service as transfers
from api.users import passwords
from api.users import service as users
from api.users.models import User
from api.webhooks import service as webhooks

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.items.models import Item
    from api.locations.models import Location
    from api.payments.models import Payment
    from api.reservations.models import Reservation
    from api.returns.models import Return
    from api.shipments.models import Shipment
    from api.transfers.models import Transfer
    from api.webhooks.models import WebhookEndpoint

PASSWORD = "correct horse battery staple"  # a test account's
LIFETIMES = auth.Lifetimes(whole=3600, idle=3600, grace=30)
GBP = orders.Currency("GBP", 2)


class Factory:
    """Makes things through the services, as the product itself does."""

    _numbers = count(1)

    def __init__(self, session: Session) -> None:
        """Write through a session; the test, or its rollback, ends the transaction."""
        self.session = session
        self.by = Caller.system()

    def user(self, *, role: str = "admin", **facts: Any) -> User:
        """Make an account with `PASSWORD`, which is hashed once for all tests: that takes longer than most of them."""
        values: dict[str, Any] = {"email": f"user{next(self._numbers)}@example.com", "name": "Somebody"}
        user = users.create(self.session, **(values | facts), role=role, by=self.by)
        if "password" not in facts:
            kept = {"password_hash": _hashed(), "password_changed_at": func.now()}
            self.session.execute(update(User).where(User.id == user.id).values(kept))
        return self._fresh(user)

    def headers(self, *, role: str = "admin", user: User | None = None) -> dict[str, str]:
        """Log a (new) user in and make the header that proves it."""
        user = user or self.user(role=role)
        login = auth.open_session(self.session, user.id, lifetimes=LIFETIMES, vault=Vault("unused"), by=self.by)
        return {"Authorization": f"Bearer {tokens.issue(login.user_id, login.session_id)}"}

    def caller(self, *, role: str = "admin", user: User | None = None) -> Caller:
        """Make a caller as a service sees one."""
        user = user or self.user(role=role)
        return Caller(user_id=user.id, role=role, scopes=users.scopes_of(role))

    def item(self, **facts: Any) -> Item:
        """Make an item; `stock=` receives that much of it at `at=` (a new location when left out)."""
        quantity, place = facts.pop("stock", 0), facts.pop("at", None)
        values: dict[str, Any] = {
            "sku": f"SKU-{next(self._numbers)}",
            "name": "Something",
            "unit_price": Decimal("2.50"),
        }
        item = items.create(self.session, **(values | facts), by=self.by)
        if quantity:
            self.receive(item, quantity, at=place or self.location())
        return self._fresh(item)

    def location(self, **facts: Any) -> Location:
        """Make a location."""
        values = {"code": f"L{next(self._numbers)}", "name": "Somewhere"}
        return self._fresh(locations.create(self.session, **(values | facts), by=self.by))

    def receive(self, item: Item, quantity: int, *, at: Location) -> None:
        """Take stock in."""
        lines = [stock.Line(item_id=item.id, quantity=quantity)]
        stock.receive(self.session, location_id=at.id, lines=lines, by=self.by)

    def order(self, *lines: tuple[Item, int], by: Caller | None = None, **facts: Any) -> orders.Placed:
        """Place an order."""
        wanted = [orders.LineRequest(item_id=item.id, quantity=quantity) for item, quantity in lines]
        request = orders.OrderRequest(lines=wanted, **facts)  # type: ignore[typeddict-item]  # as a test wants it
        return orders.place(self.session, request, currency=GBP, by=by or self.by)

    def reservation(self, *lines: tuple[Item, int], by: Caller | None = None, **facts: Any) -> Reservation:
        """Keep stock for a while, for a quarter of an hour unless `ttl_seconds` says otherwise."""
        wanted = [stock.Line(item_id=item.id, quantity=quantity) for item, quantity in lines]
        terms = reservations.Terms(units=1000, reservations=20)
        values: dict[str, Any] = {"ttl_seconds": 900, "terms": terms} | facts
        return reservations.create(self.session, lines=wanted, by=by or self.by, **values)

    def shipment(self, order: orders.Placed | orders.Order, *lines: tuple[Item, int], **facts: Any) -> Shipment:
        """Ship what lies ready of an order, or so many of each."""
        return shipments.ship(self.session, order.id, lines=_chosen(lines), by=self.by, **facts)

    def return_(self, order: orders.Placed | orders.Order, *lines: tuple[Item, int], **facts: Any) -> Return:
        """Ask for everything that was shipped of an order to come back, or for so many of each."""
        return returns.request(self.session, order.id, lines=_chosen(lines), by=self.by, **facts)

    def payment(self, order: orders.Placed | orders.Order, amount: str, **facts: Any) -> Payment:
        """Record a payment in cash."""
        values: dict[str, Any] = {"method": "cash"} | facts
        return payments.record(self.session, order.id, amount=Decimal(amount), by=self.by, **values)[0]

    def endpoint(self, **facts: Any) -> WebhookEndpoint:
        """Add a webhook endpoint, at an address of this machine where nobody listens."""
        means = webhooks.Means(Vault("a secret of the test-suite"), (ip_network("127.0.0.0/8"),))
        values: dict[str, Any] = {"url": "http://127.0.0.1:9/hooks", "by": self.by}
        return self._fresh(webhooks.create(self.session, **(values | facts), means=means))

    def notification(self, user_id: UUID, **facts: Any) -> Notification:
        """Tell somebody of an order that has come in."""
        values: dict[str, Any] = {
            "event_id": ids.new(),
            "kind": "order_placed",
            "title": "Order SO-001001 has come in",
            "text": "1 unit, 2.50 GBP in all.",
            "subject_type": "order",
            "subject_id": ids.new(),
            "data": {"number": "SO-001001"},
        }
        notification = Notification(user_id=user_id, **(values | facts))
        self.session.add(notification)
        return self._fresh(notification)

    def transfer(self, *lines: tuple[Item, int], source: Location, target: Location, **facts: Any) -> Transfer:
        """Send units on their way, from where they lie; `in_transit=False` lets them arrive at once."""
        sent = [stock.Line(item_id=item.id, quantity=quantity) for item, quantity in lines]
        places: dict[str, Any] = {"from_location_id": source.id, "to_location_id": target.id}
        return transfers.send(self.session, lines=sent, by=self.by, **places, **({"in_transit": True} | facts))

    def count(self, place: Location, **facts: Any) -> AnyRow:
        """Open a stock count."""
        return counts.open_(self.session, location_id=place.id, **facts, by=self.by)

    def _fresh[Row](self, row: Row) -> Row:
        self.session.flush()
        self.session.expire(row)
        return row


@cache
def _hashed() -> str:
    return passwords.digest(PASSWORD)


def _chosen(lines: tuple[tuple[Item, int], ...]) -> list[orders.LineChoice] | None:
    return [orders.LineChoice(item_id=item.id, quantity=quantity) for item, quantity in lines] or None
