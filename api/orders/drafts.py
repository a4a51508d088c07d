"""Orders before they are written: put together and added up. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.core import ids, money
from api.orders.models import PLACED
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID


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
    cancelled_quantity: int = 0

    @property
    def amount(self) -> Decimal:
        """Quantity × unit price, exactly."""
        return self.quantity * self.unit_price


@dataclass(slots=True)
class Placed:
    """An order as it was placed."""

    currency: str
    lines: Sequence[Line]
    total: Decimal
    id: UUID = field(default_factory=ids.new)
    customer_id: UUID | None = None
    reference: str | None = None
    note: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    placed_at: datetime | None = None
    status: str = PLACED
    number: str = ""
    version: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def promise(self) -> stock.Promise:
        """Tell what the order asks of the shelves."""
        demands = [stock.Demand(line.line_no, line.item_id, line.quantity) for line in self.lines if line.is_stocked]
        return stock.Promise(self.id, demands, self.placed_at)


@dataclass(frozen=True, slots=True)
class Currency:
    """The money of this installation: its ISO 4217 code and its decimal places."""

    code: str
    places: int


def assemble(lines: Sequence[Line], *, currency: Currency, **facts: Any) -> Placed:  # noqa: ANN401  # fields of Placed
    """Put an order together: line amounts are exact, their total is rounded once."""
    total = money.total((line.amount for line in lines), places=currency.places)
    return Placed(currency=currency.code, lines=lines, total=total, **facts)
