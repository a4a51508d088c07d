"""Every statement about returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Uuid, column, func, select, table, text
from sqlalchemy.orm import selectinload, with_expression

from api.core.orm import Repository
from api.core.paging import Listing
from api.returns.models import CANCELLED, REQUESTED, Return, ReturnLine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from api.core.orm import AnyRow

_LINES = table("order_lines", column("order_id", Uuid), column("line_no"), column("sku"), column("name"))
"""What this domain reads of another's table, in the statement that would otherwise take one for each line."""


def _of_line(name: str) -> Any:  # noqa: ANN401  # a scalar subquery
    query = select(_LINES.c[name]).where(_LINES.c.order_id == ReturnLine.order_id)
    return query.where(_LINES.c.line_no == ReturnLine.line_no).scalar_subquery()


_TOLD = selectinload(Return.lines).options(
    with_expression(ReturnLine.sku, _of_line("sku")), with_expression(ReturnLine.name, _of_line("name"))
)

_LEFT_FROM = text("""
    SELECT s.order_line_no AS line_no, s.location_id, sum(s.quantity)::int AS quantity, sum(s.value) AS value,
        max(s.shipment_id::text) AS last_shipment
    FROM shipment_lines AS s WHERE s.order_id = :order_id AND s.location_id IS NOT NULL
    GROUP BY s.order_line_no, s.location_id ORDER BY s.order_line_no, last_shipment DESC, s.location_id
""")


class ReturnRepository(Repository[Return]):
    """Returns by id and order."""

    model = Return

    def of_order(self, order_id: UUID, return_id: UUID, *, locked: bool = False) -> Return | None:
        """Find a return of an order with its lines, as it is now."""
        query = select(Return).where(Return.id == return_id, Return.order_id == order_id).options(_TOLD)
        query = query.execution_options(populate_existing=True)
        return self.one(query.with_for_update(of=Return) if locked else query)

    def listing(self, **facts: object) -> Listing:
        """List returns with their lines, newest first; `facts` are columns and what they must be."""
        query = select(Return).options(_TOLD)
        for name, value in facts.items():
            query = query.where(getattr(Return, name) == value)
        return Listing(query, keys=(Return.id,), descending=True)

    def expected(self, order_id: UUID) -> dict[int, int]:
        """Tell how many units of which lines of an order are asked to come back and have not yet."""
        query = select(ReturnLine.line_no, func.sum(ReturnLine.quantity)).join(
            Return, Return.id == ReturnLine.return_id
        )
        query = query.where(Return.order_id == order_id, Return.status == REQUESTED).group_by(ReturnLine.line_no)
        return {line_no: int(quantity) for line_no, quantity in self.session.execute(query)}

    def left_from(self, order_id: UUID) -> Sequence[AnyRow]:
        """Tell from where units of an order's lines left, and what they were worth there; the latest place first."""
        return self.session.execute(_LEFT_FROM, {"order_id": order_id}).all()

    def touch(self, return_: Return) -> None:
        """Write a return as a new version."""
        return_.updated_at = func.now()
        if return_.status == CANCELLED:
            return_.cancelled_at = func.now()
        elif return_.status != REQUESTED:
            return_.received_at = func.now()
        self.session.flush()
