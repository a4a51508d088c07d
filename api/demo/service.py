"""Loads a shop's past through the services every live order goes through: the same checks, the same ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from api.demo import repository
from api.demo.errors import AlreadyLoaded, DoesNotAddUp, LoadUnderWay, TooMuchSold
from api.demo.retail import Bucket, Invoice
from api.items import service as items
from api.locations import service as locations
from api.orders import service as orders
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.demo.retail import Article, Sorted, Undoing
    from api.items.service import ItemFacts
    from api.orders.service import Currency

LOCATION, LOCATION_NAME = "MAIN", "Main warehouse"
OPENING_STOCK = "opening stock"
LEAST_MARGIN, MARGIN_DIVISOR = 12, 10
"""Opening stock is what was sold and a tenth of it, at least a dozen: enough for every order of the past, and some."""

LARGEST_LEVEL = 2**31 - 1
LINES_PER_RECEIPT = 500
LINES_PER_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database holds after loading."""

    orders: int
    lines: int
    items: int
    units: int
    units_cancelled: int
    gross: Decimal


def is_empty(session: Session) -> bool:
    """Tell whether nobody has put anything in yet."""
    return not repository.has_data(session)


def load(
    session: Session, past: Sorted, *, currency: Currency, by: Caller, advance: Callable[[int], None] = lambda _: None
) -> Figures:
    """Load a shop's past, all or nothing; `advance` hears how many order lines are done.

    Raises:
        AlreadyLoaded: orders with such references exist.
        LoadUnderWay: somebody else is at it.
        TooMuchSold: more than a stock level can hold.
        DoesNotAddUp: the database holds other than the file, or the ledger does not explain it.

    """
    if not repository.be_alone(session):
        raise LoadUnderWay
    repository.take_time(session)
    found, example = repository.loaded(session, past.invoices)
    if found:
        raise AlreadyLoaded(count=found, example=example)
    history = past.history()
    known = _add_items(session, past.articles)
    place = locations.find_or_create(session, code=LOCATION, name=LOCATION_NAME, by=by).id
    if history:
        opening = history[0].at.replace(hour=0, minute=0, second=0)
        _stock_up(session, past.articles, known, location_id=place, occurred_at=opening, by=by)
    journal = Journal(session, known, currency=currency, location_id=place, by=by)
    for step in history:
        advance(journal.enter(step))
    advance(journal.write())
    repository.analyze(session)
    return _read_back(session, past)


def _read_back(session: Session, past: Sorted) -> Figures:
    row = repository.figures(session, past.invoices)
    figures = Figures(row.orders, row.lines, row.items, row.units, row.units_cancelled, row.gross)
    expected = (len(past.invoices), past.buckets[Bucket.SALE], past.units_cancelled)
    wrong = len(stock.verify(session).differences)
    wrong += (figures.orders, figures.lines, figures.units_cancelled) != expected
    if wrong:
        raise DoesNotAddUp(count=wrong)
    return figures


def _add_items(session: Session, articles: dict[str, Article]) -> dict[str, ItemFacts]:
    """Add the items that the catalogue does not have; tells the facts of all, under the code in capitals."""
    skus = {key: article.sku.lower() for key, article in articles.items()}
    present = items.facts(session, ids=(), skus=skus.values())
    new = [article for key, article in articles.items() if skus[key] not in present]
    if new:
        items.import_many(
            session,
            [{"sku": one.sku, "name": one.name, "unit_price": one.price, "is_stocked": one.is_stocked} for one in new],
        )
        present = items.facts(session, ids=(), skus=skus.values())
    return {key: present[sku] for key, sku in skus.items()}


def _stock_up(
    session: Session,
    articles: dict[str, Article],
    known: dict[str, ItemFacts],
    *,
    location_id: UUID,
    occurred_at: datetime,
    by: Caller,
) -> None:
    """Receive, at the start of the first day, enough for everything that was sold."""
    lines = []
    for key, article in articles.items():
        quantity = article.units + max(LEAST_MARGIN, article.units // MARGIN_DIVISOR)
        if quantity > LARGEST_LEVEL:
            raise TooMuchSold(sku=article.sku, units=article.units)
        if known[key].is_stocked:
            lines.append(stock.Line(item_id=known[key].id, quantity=quantity))
    for start in range(0, len(lines), LINES_PER_RECEIPT):
        stock.receive(
            session,
            location_id=location_id,
            lines=lines[start : start + LINES_PER_RECEIPT],
            by=by,
            reference=OPENING_STOCK,
            occurred_at=occurred_at,
        )


class Journal:
    """Collects orders and cancellations into large batches, because every batch writes every level it touches.

    A batch is written orders first, then cancellations, each in the order of time. Every movement bears the moment at
    which it happened; that within a batch a cancellation is numbered after the orders is the price of speed.
    """

    def __init__(
        self, session: Session, known: dict[str, ItemFacts], *, currency: Currency, location_id: UUID, by: Caller
    ) -> None:
        """Write through a session, at one location."""
        self.session, self.known, self.currency, self.location_id, self.by = session, known, currency, location_id, by
        self.ids: dict[str, UUID] = {}
        self.lines = 0
        self.placed: list[orders.Placed] = []
        self.rounds: list[Round] = []

    def enter(self, step: Invoice | Undoing) -> int:
        """Take an order or a cancellation in; tells how many order lines were written."""
        if isinstance(step, Invoice):
            self._place(step)
        else:
            self._cancel(step)
        return self.write() if self.lines >= LINES_PER_BATCH else 0

    def write(self) -> int:
        """Write what was collected; tells how many order lines that were."""
        written, self.lines = self.lines, 0
        if self.placed:
            orders.import_placed(self.session, self.placed, by=self.by, location_id=self.location_id)
        for one in self.rounds:
            orders.import_cancelled(self.session, list(one.cancellations.values()), currency=self.currency, by=self.by)
        self.placed.clear()
        self.rounds.clear()
        return written

    def _place(self, invoice: Invoice) -> None:
        lines = []
        for number, sale in enumerate(invoice.sales, start=1):
            item = self.known[sale.key]
            lines.append(orders.Line(number, item.id, item.sku, item.name, sale.quantity, sale.price, item.is_stocked))
        order = orders.assemble(
            lines,
            currency=self.currency,
            reference=invoice.number,
            details=_details(invoice),
            placed_at=invoice.at,
        )
        self.ids[invoice.number] = order.id
        self.placed.append(order)
        self.lines += order.line_count

    def _cancel(self, undoing: Undoing) -> None:
        order_id = self.ids[undoing.invoice.number]
        latest = next((one for one in reversed(self.rounds) if order_id in one.moments), None)
        if latest is None or latest.moments[order_id] != undoing.at:
            follows = self.rounds.index(latest) + 1 if latest else 0
            if follows == len(self.rounds):
                self.rounds.append(Round())
            latest = self.rounds[follows]
        latest.add(order_id, undoing)


@dataclass(slots=True)
class Round:
    """Cancellations that are written together: of each order those of one moment, each line once."""

    moments: dict[UUID, datetime] = field(default_factory=dict)
    cancellations: dict[tuple[UUID, int], orders.Cancellation] = field(default_factory=dict)

    def add(self, order_id: UUID, undoing: Undoing) -> None:
        """Take one in; several of the same line become one."""
        key = order_id, undoing.line_no
        before = self.cancellations.get(key)
        units = undoing.quantity + (before.quantity if before else 0)
        self.moments[order_id] = undoing.at
        self.cancellations[key] = orders.Cancellation(*key, units, undoing.at)


def _details(invoice: Invoice) -> dict[str, str]:
    facts = {"customer": invoice.customer, "country": invoice.country}
    return {name: fact for name, fact in facts.items() if fact}
