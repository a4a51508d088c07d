"""Every statement about shipments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Uuid, column, func, select, table, text
from sqlalchemy.orm import selectinload, with_expression

from api.core.orm import Repository
from api.core.paging import Listing
from api.shipments.models import Shipment, ShipmentLine

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import RowMapping
    from sqlalchemy.orm import Session

_LINES = table("order_lines", column("order_id", Uuid), column("line_no"), column("sku"), column("name"))
_PLACES = table("locations", column("id", Uuid), column("code"))
"""What this domain reads of others' tables, in the statements that would otherwise take one for each row."""

_PLACE = select(_PLACES.c.code).where(_PLACES.c.id == ShipmentLine.location_id).scalar_subquery()


def _of_line(name: str) -> Any:  # noqa: ANN401  # a scalar subquery
    query = select(_LINES.c[name]).where(_LINES.c.order_id == ShipmentLine.order_id)
    return query.where(_LINES.c.line_no == ShipmentLine.order_line_no).scalar_subquery()


_TOLD = selectinload(Shipment.lines).options(
    with_expression(ShipmentLine.sku, _of_line("sku")),
    with_expression(ShipmentLine.name, _of_line("name")),
    with_expression(ShipmentLine.location_code, _PLACE),
)


class ShipmentRepository(Repository[Shipment]):
    """Shipments by id and order."""

    model = Shipment

    def of_order(self, order_id: UUID, shipment_id: UUID, *, locked: bool = False) -> Shipment | None:
        """Find a shipment of an order with its lines, as it is now."""
        query = select(Shipment).where(Shipment.id == shipment_id, Shipment.order_id == order_id).options(_TOLD)
        query = query.execution_options(populate_existing=True)
        return self.one(query.with_for_update(of=Shipment) if locked else query)

    def listing(
        self, *, shipped_from: datetime | None = None, shipped_before: datetime | None = None, **facts: object
    ) -> Listing:
        """List shipments with their lines, newest first; `facts` are columns and what they must be."""
        query = select(Shipment).options(_TOLD)
        for name, value in facts.items():
            query = query.where(getattr(Shipment, name) == value)
        if shipped_from is not None:
            query = query.where(Shipment.shipped_at >= shipped_from)
        if shipped_before is not None:
            query = query.where(Shipment.shipped_at < shipped_before)
        return Listing(query, keys=(Shipment.id,), descending=True)

    def touch(self, shipment: Shipment) -> None:
        """Write a shipment as a new version."""
        shipment.updated_at = func.now()
        self.session.flush()


_NAMES = text("SELECT id, code, name FROM locations WHERE id = ANY(:ids) ORDER BY priority, code")


def places(session: Session, location_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Tell code and name of locations, in the order in which they serve orders."""
    return session.execute(_NAMES, {"ids": list(location_ids)}).mappings().all()
