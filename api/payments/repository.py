"""Every statement about payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Uuid, column, select, table, text
from sqlalchemy.dialects.postgresql import insert

from api.core import ids
from api.core.orm import Repository
from api.core.paging import Listing
from api.payments.models import Payment

if TYPE_CHECKING:
    from uuid import UUID

_RETURNS = table("returns", column("id", Uuid), column("order_id", Uuid))
"""What this domain reads of another's table."""


class PaymentRepository(Repository[Payment]):
    """Payments by order and external reference."""

    model = Payment

    def record(self, **facts: Any) -> Payment | None:  # noqa: ANN401  # columns and their values
        """Insert a payment, unless another has its reference; one that is being recorded just now is waited for."""
        query = insert(Payment).values(id=ids.new(), **facts)
        if facts.get("reference") is not None:
            query = query.on_conflict_do_nothing(
                index_elements=["kind", "method", "reference"], index_where=text("reference IS NOT NULL")
            )
        return self.session.scalar(query.returning(Payment))

    def by_reference(self, *, kind: str, method: str, reference: str) -> Payment | None:
        """Find the payment that has an external reference."""
        return self.one(
            select(Payment).where(Payment.kind == kind, Payment.method == method, Payment.reference == reference)
        )

    def has_return(self, order_id: UUID, return_id: UUID) -> bool:
        """Tell whether an order has a return."""
        return self.exists(select(_RETURNS.c.id).where(_RETURNS.c.id == return_id, _RETURNS.c.order_id == order_id))

    def of_order(self, order_id: UUID) -> Listing:
        """List the payments of an order, oldest first."""
        return Listing(select(Payment).where(Payment.order_id == order_id), keys=(Payment.id,))
