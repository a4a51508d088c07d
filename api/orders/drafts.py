"""Orders before they are written: put together and added up. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from api.core import ids, money
from api.orders.errors import AmountTooLarge, DiscountTooLarge
from api.orders.models import DISCOUNT, PLACED, TAX, Owed
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from typing import Protocol
    from uuid import UUID

    class Counted(Protocol):
        """What counts of a line for an order's totals."""

        quantity: Any
        cancelled_quantity: Any
        unit_price: Any


LARGEST_TOTAL = Decimal(10) ** 18
"""Below this every amount of an order fills NUMERIC(24, 4)."""


@dataclass(slots=True)
class Line:
    """One line as it was placed."""

    line_no: int
    item_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Decimal
    is_stocked: bool
    may_wait: bool = False
    lead_time_days: int | None = None
    promised_on: date | None = None
    backordered_quantity: int = 0
    cancelled_quantity: int = 0
    shipped_quantity: int = 0
    delivered_quantity: int = 0
    returned_quantity: int = 0

    @property
    def amount(self) -> Decimal:
        """Quantity × unit price, exactly."""
        return self.quantity * self.unit_price

    @property
    def outstanding_quantity(self) -> int:
        """The units that are still to be shipped: all of them."""
        return self.quantity

    def demand(self, *, at: int | None = None) -> stock.Demand:
        """Tell what the line asks of the shelves, and where in a request it stands."""
        return stock.Demand(self.line_no, self.item_id, self.quantity, self.may_wait, self.sku, at=at)


class Charge(TypedDict, total=False):
    """An amount that is taken off or added, as recorded: Stockroom does not work it out."""

    label: str
    rate: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """What the lines and charges of an order come to."""

    subtotal: Decimal
    discount_total: Decimal
    tax_total: Decimal
    total: Decimal
    cancelled_total: Decimal


@dataclass(slots=True, kw_only=True)
class Placed(Owed):
    """An order as it was placed."""

    currency: str
    lines: Sequence[Line]
    subtotal: Decimal
    discount_total: Decimal
    tax_total: Decimal
    total: Decimal
    cancelled_total: Decimal = Decimal()
    refund_total: Decimal = Decimal()
    paid_total: Decimal = Decimal()
    charges: Sequence[Mapping[str, str]] = ()
    id: UUID = field(default_factory=ids.new)
    customer_id: UUID | None = None
    created_by: UUID | None = None
    reservation_id: UUID | None = None
    location_id: UUID | None = None
    allocation_policy: str | None = None
    allow_backorders: bool = True
    reference: str | None = None
    note: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    email: str | None = None
    shipping_address: Mapping[str, str] | None = None
    billing_address: Mapping[str, str] | None = None
    placed_at: datetime | None = None
    status: str = PLACED
    number: str = ""
    version: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None
    held_at: datetime | None = None
    hold_reason: str | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def promise(self, *, policy: str = stock.DEFAULT_POLICY) -> stock.Promise:
        """Tell what the order asks of the shelves."""
        demands = [line.demand() for line in self.lines if line.is_stocked]
        return stock.Promise(
            self.id, demands, self.placed_at, location_id=self.location_id, policy=self.allocation_policy or policy
        )


@dataclass(frozen=True, slots=True)
class Currency:
    """The money of this installation: its ISO 4217 code and its decimal places."""

    code: str
    places: int


def assemble(
    lines: Sequence[Line],
    *,
    currency: Currency,
    discounts: Sequence[Charge] = (),
    taxes: Sequence[Charge] = (),
    **facts: Any,  # noqa: ANN401  # fields of Placed
) -> Placed:
    """Put an order together: line amounts are exact, the total is rounded once.

    Raises:
        DiscountTooLarge: it would cost less than nothing.
        AmountTooLarge: it would cost more than can be kept.

    """
    charges = [*charged(DISCOUNT, discounts), *charged(TAX, taxes)]
    sums = add_up(lines, charges, places=currency.places)
    return Placed(
        currency=currency.code,
        lines=lines,
        charges=charges,
        subtotal=sums.subtotal,
        discount_total=sums.discount_total,
        tax_total=sums.tax_total,
        total=sums.total,
        **facts,
    )


def charged(kind: str, charges: Iterable[Charge]) -> list[dict[str, str]]:
    """Write charges as they are kept."""
    return [{"kind": kind, **{name: str(value) for name, value in charge.items()}} for charge in charges]


def add_up(lines: Iterable[Counted], charges: Sequence[Mapping[str, str]], *, places: int) -> Totals:
    """Add lines and charges up: once as ordered, once without what is cancelled.

    With the last unit the charges are cancelled, too; before, they stay as they were recorded.

    Raises:
        DiscountTooLarge, AmountTooLarge: as above.

    """
    lines = list(lines)
    subtotal = sum((line.quantity * line.unit_price for line in lines), Decimal())
    discounts, taxes = (_sum(charges, kind) for kind in (DISCOUNT, TAX))
    total = money.total([subtotal, -discounts, taxes], places=places)
    if total < 0:
        raise DiscountTooLarge
    if max(total, subtotal, discounts, taxes) >= LARGEST_TOTAL:
        raise AmountTooLarge
    left = sum(((line.quantity - line.cancelled_quantity) * line.unit_price for line in lines), Decimal())
    is_left = any(line.quantity > line.cancelled_quantity for line in lines)
    remaining = max(money.total([left, -discounts, taxes], places=places), Decimal()) if is_left else Decimal()
    return Totals(subtotal, discounts, taxes, total, total - remaining)


def _sum(charges: Iterable[Mapping[str, str]], kind: str) -> Decimal:
    return sum((Decimal(charge["amount"]) for charge in charges if charge["kind"] == kind), Decimal())
