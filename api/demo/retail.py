"""Makes orders, an assortment and cancellations of a shop's invoice lines. Knows no database and no Flask."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from api.demo.reading import Malformed, Row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

MAXIMUM_LINES = 1000
"""Of one order, as everywhere in the API."""

CANCELLATION, ADJUSTMENT = "C", "A"
"""How the numbers of invoices begin that are no sales."""

SERVICES = frozenset(
    {
        "AMAZONFEE",  # the marketplace's fee
        "B",  # bad debt
        "BANK CHARGES",
        "C2",  # carriage
        "C3",
        "D",  # discount
        "DOT",  # postage of orders from the web shop
        "M",  # entered by hand
        "POST",  # postage
        "S",  # samples, as a sum of money
    }
)
"""Codes, in capitals, that are no goods: they are ordered without stock."""

SERVICE_PREFIXES = ("ADJUST", "GIFT", "TEST")
"""Adjustments, gift vouchers (money on paper, made when sold) and the web shop's trial entries are no goods either."""


class Bucket(StrEnum):
    """What became of a line of the file: each falls into exactly one."""

    SALE = "sale"
    CANCELLED = "cancellation, matched"
    CANCELLED_IN_PART = "cancellation, matched in part"
    UNMATCHED = "cancellation, no earlier sale left to match"
    NO_CUSTOMER = "cancellation without a customer"
    NOT_NEGATIVE = "cancellation of no units"
    ADJUSTMENT = "adjustment of debts"
    NO_UNITS = "quantity not positive"
    NO_PRICE = "price not positive"
    TOO_LONG = f"beyond the {MAXIMUM_LINES:,} lines of an order"
    TOO_LATE = "after the days asked for"
    MALFORMED = "malformed"


class LineUnaccountedError(RuntimeError):
    """A line is in no bucket, or in two: a bug."""


class Sale(NamedTuple):
    """One line of an order."""

    key: str
    quantity: int
    price: Decimal


@dataclass(slots=True)
class Invoice:
    """What becomes an order."""

    number: str
    line: int
    at: datetime
    customer: str
    country: str
    sales: list[Sale] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Undoing:
    """So many units of one line of an earlier invoice, cancelled."""

    line: int
    at: datetime
    invoice: Invoice
    line_no: int
    quantity: int

    @property
    def key(self) -> str:
        """The item concerned."""
        return self.invoice.sales[self.line_no - 1].key


@dataclass(slots=True)
class Article:
    """What becomes an item: a code in all its letter cases, as it was sold."""

    spellings: Counter[str] = field(default_factory=Counter)
    descriptions: Counter[str] = field(default_factory=Counter)
    units: int = 0
    price: Decimal | None = None
    priced_at: datetime | None = None

    @property
    def sku(self) -> str:
        """The most usual spelling."""
        return self.spellings.most_common(1)[0][0]

    @property
    def name(self) -> str:
        """The most usual description, or the SKU when there is none."""
        return self.descriptions.most_common(1)[0][0] if self.descriptions else self.sku

    @property
    def is_stocked(self) -> bool:
        """Whether it is a thing rather than a service, a fee or a sum of money."""
        sku = self.sku.upper()
        return sku not in SERVICES and not sku.startswith(SERVICE_PREFIXES)

    def add(self, row: Row) -> None:
        """Take note of a sale."""
        self.spellings[row.code] += 1
        if row.description:
            self.descriptions[row.description] += 1
        self.units += row.quantity
        if self.priced_at is None or row.at >= self.priced_at:
            self.price, self.priced_at = row.price, row.at


@dataclass(slots=True)
class Sorted:
    """A whole file, understood; `buckets` adds up to `lines`."""

    lines: int = 0
    buckets: Counter[Bucket] = field(default_factory=Counter)
    malformed: list[Malformed] = field(default_factory=list)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=lambda: defaultdict(Article))
    undoings: list[Undoing] = field(default_factory=list)

    @property
    def folded_codes(self) -> int:
        """How many codes are other spellings of a code there is already."""
        return sum(len(article.spellings) - 1 for article in self.articles.values())

    @property
    def units_cancelled(self) -> int:
        """How many units the cancellations matched take back."""
        return sum(undoing.quantity for undoing in self.undoings)

    def history(self) -> list[Invoice | Undoing]:
        """Tell what happened in the order in which it happened."""
        steps: list[Invoice | Undoing] = [*self.invoices.values(), *self.undoings]
        return sorted(steps, key=_moment)


def sort_out(rows: Iterable[Row | Malformed], *, limit_days: int | None = None) -> Sorted:
    """Put every line of a file into its bucket; with a limit, lines after the first so many days into one of theirs."""
    result = Sorted()
    cancellations: list[Row] = []
    understood: list[Row] = []
    for row in rows:
        result.lines += 1
        if isinstance(row, Malformed):
            result.buckets[Bucket.MALFORMED] += 1
            result.malformed.append(row)
        else:
            understood.append(row)
    end = _end(understood, limit_days)
    for row in understood:
        bucket = Bucket.TOO_LATE if end is not None and row.at >= end else _bucket_of(row)
        if bucket is None:
            cancellations.append(row)
            continue
        if bucket is Bucket.SALE:
            bucket = _sell(result, row)
        result.buckets[bucket] += 1
    _match(result, cancellations)
    if result.buckets.total() != result.lines:
        raise LineUnaccountedError
    return result


def _bucket_of(row: Row) -> Bucket | None:
    """Tell where a line belongs; None for a cancellation that has to be matched."""
    kind = row.invoice[0].upper()
    if kind == CANCELLATION:
        if row.quantity >= 0:
            return Bucket.NOT_NEGATIVE
        return None if row.customer else Bucket.NO_CUSTOMER
    if kind == ADJUSTMENT:
        return Bucket.ADJUSTMENT
    if row.quantity <= 0:
        return Bucket.NO_UNITS
    return Bucket.SALE if row.price > 0 else Bucket.NO_PRICE


def _sell(result: Sorted, row: Row) -> Bucket:
    invoice = result.invoices.get(row.invoice)
    if invoice is None:
        invoice = Invoice(row.invoice, row.line, row.at, row.customer, row.country)
        result.invoices[row.invoice] = invoice
    elif len(invoice.sales) >= MAXIMUM_LINES:
        return Bucket.TOO_LONG
    key = row.code.upper()
    invoice.at = min(invoice.at, row.at)
    invoice.sales.append(Sale(key, row.quantity, row.price))
    result.articles[key].add(row)
    return Bucket.SALE


def _match(result: Sorted, cancellations: list[Row]) -> None:
    """Find the sales a cancellation takes back: the customer's latest earlier ones of the item that are not yet."""
    wanted = {(row.customer, row.code.upper()) for row in cancellations}
    open_sales: dict[tuple[str, str], list[_Open]] = defaultdict(list)
    steps: list[Invoice | Row] = [*result.invoices.values(), *cancellations]
    for step in sorted(steps, key=_moment):
        if isinstance(step, Invoice):
            for number, sale in enumerate(step.sales, start=1):
                if (step.customer, sale.key) in wanted:
                    open_sales[step.customer, sale.key].append(_Open(step, number, sale.quantity))
        else:
            left = _take(result, step, open_sales[step.customer, step.code.upper()])
            whole = Bucket.UNMATCHED if left == -step.quantity else Bucket.CANCELLED_IN_PART
            result.buckets[whole if left else Bucket.CANCELLED] += 1


@dataclass(slots=True)
class _Open:
    """A line of an invoice, and how many of its units are not cancelled."""

    invoice: Invoice
    line_no: int
    units: int


def _take(result: Sorted, row: Row, latest_last: list[_Open]) -> int:
    """Cancel units, latest sale first; tells how many found none."""
    left = -row.quantity
    while left and latest_last:
        sale = latest_last[-1]
        units = min(left, sale.units)
        result.undoings.append(Undoing(row.line, row.at, sale.invoice, sale.line_no, units))
        left -= units
        sale.units -= units
        if not sale.units:
            latest_last.pop()
    return left


def _end(rows: list[Row], limit_days: int | None) -> datetime | None:
    """Tell the midnight at which the first so many days are over."""
    if limit_days is None or not rows:
        return None
    first = min(row.at for row in rows)
    return first.replace(hour=0, minute=0, second=0) + timedelta(days=limit_days)


def _moment(step: Invoice | Undoing | Row) -> tuple[datetime, int]:
    return step.at, step.line
