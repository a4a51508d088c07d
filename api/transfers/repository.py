"""Every statement about transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Uuid, column, func, select, table
from sqlalchemy.orm import aliased, selectinload, with_expression

from api.core.orm import Repository
from api.core.paging import Listing
from api.transfers.models import Transfer, TransferLine

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ScalarSelect
    from sqlalchemy.orm import InstrumentedAttribute
    from sqlalchemy.orm.interfaces import ORMOption

_ITEMS = table("items", column("id", Uuid), column("sku"), column("name"))
_PLACES = table("locations", column("id", Uuid), column("code"))
"""What this domain reads of others' tables, in the statements that would otherwise take one for each row."""


def _code_of(place: InstrumentedAttribute[UUID]) -> ScalarSelect[str]:
    return select(_PLACES.c.code).where(_PLACES.c.id == place).scalar_subquery()


def _of_item(name: str) -> ScalarSelect[str]:
    return select(_ITEMS.c[name]).where(_ITEMS.c.id == TransferLine.item_id).scalar_subquery()


_CODES: tuple[ORMOption, ...] = (
    with_expression(Transfer.from_location_code, _code_of(Transfer.from_location_id)),
    with_expression(Transfer.to_location_code, _code_of(Transfer.to_location_id)),
)
_NAMES = (
    with_expression(TransferLine.sku, _of_item("sku")),
    with_expression(TransferLine.name, _of_item("name")),
)


class TransferRepository(Repository[Transfer]):
    """Transfers by id, place and status."""

    model = Transfer

    def with_lines(self, transfer_id: UUID, *, locked: bool = False) -> Transfer | None:
        """Find a transfer with its lines, as they are now and, locked, stay until this transaction ends.

        The lines are read by a second statement: one that waited for somebody else sees what they have done.
        """
        query = select(Transfer).where(Transfer.id == transfer_id)
        query = query.options(*_CODES, selectinload(Transfer.lines).options(*_NAMES))
        query = query.execution_options(populate_existing=True)
        return self.one(query.with_for_update(of=Transfer) if locked else query)

    def touch(self, transfer: Transfer) -> None:
        """Write a transfer and its lines as a new version, whatever of them has changed."""
        transfer.updated_at = func.now()
        self.session.flush()

    def listing(self, *, item_id: UUID | None, **facts: object) -> Listing:
        """List transfers, newest first; `facts` are columns and what they must be."""
        query = select(Transfer).options(*_CODES)
        for name, value in facts.items():
            query = query.where(getattr(Transfer, name) == value)
        if item_id is not None:
            line = aliased(TransferLine)
            query = query.where(select(line).where(line.transfer_id == Transfer.id, line.item_id == item_id).exists())
        return Listing(query, keys=(Transfer.id,), descending=True)
