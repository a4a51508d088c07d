"""The shelves: receiving, adjusting, promising and releasing stock, and showing what lies where.

Every change goes the same way: lock the levels in key order, decide in memory, write levels, ledger and promises in
one statement. So two callers can neither oversell nor deadlock, and the ledger always equals the balances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.stock import errors, posting, promising, reading, repository
from api.stock.booking import Book, Cause, LevelKey, PromiseKey
from api.stock.models import RELEASE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow


Line = posting.Line
Carried = posting.Carried
Journey = posting.Journey
Posting = posting.Posting
receive = posting.receive
adjust = posting.adjust
correct = posting.correct
send = posting.send
bring = posting.bring
resolve = posting.resolve
InsufficientStock = errors.InsufficientStock

Availability = reading.Availability
Valuation = reading.Valuation
Verification = reading.Verification
availability = reading.availability
levels = reading.levels
movements = reading.movements
valuation = reading.valuation
verify = reading.verify
on_hand = reading.on_hand
close_days = reading.close_days
tell_low_stock = reading.tell_low_stock

Demand = promising.Demand
Promise = promising.Promise


def reserve(session: Session, promise: Promise, *, by: Caller, location_id: UUID | None = None) -> None:
    """Promise everything one order asks for, or raise and promise none.

    Demands for the same item are added up before they are compared. A location named is the only one asked; otherwise
    the first one that can serve the whole order does, and failing that, each item comes from as few as possible. All
    shortages are reported, not the first.

    Raises:
        InsufficientStock: naming every item that is short.

    """
    reserve_all(session, [promise], by=by, location_id=location_id)


def reserve_all(session: Session, promises: Sequence[Promise], *, by: Caller, location_id: UUID | None = None) -> None:
    """Promise what several orders ask for, one after the other, in one statement.

    Raises:
        InsufficientStock: one of them cannot be served; none is.

    """
    wanted = {demand.item_id for promise in promises for demand in promise.demands}
    if not wanted:
        return
    balances, places = repository.lock_for_sale(session, wanted, location_id=location_id)
    book = Book(balances, by)
    for promise in promises:
        promising.keep(book, promise, places)
    posting.write(session, book)


def release(session: Session, owner_id: UUID, *, by: Caller, quantities: Mapping[int, int] | None = None) -> None:
    """Give back what an order holds: everything, or so many units of the lines named."""
    release_all(session, {owner_id: quantities}, by=by)


def release_all(
    session: Session,
    owners: Mapping[UUID, Mapping[int, int] | None],
    *,
    by: Caller,
    occurred_at: Mapping[UUID, datetime] | None = None,
) -> None:
    """Give back what several orders hold, wholly (None) or so many units of the lines named."""
    held = repository.promises(session, owners.keys())
    keys = {LevelKey(row.item_id, row.location_id) for row in held}
    if not keys:
        return
    book, left = Book(repository.lock_at(session, keys), by), _Left(owners)
    for row in held:
        quantity = left.take(row)
        if quantity:
            moment = occurred_at.get(row.owner_id) if occurred_at else None
            cause = Cause(RELEASE, source_id=row.owner_id, occurred_at=moment)
            book.move(LevelKey(row.item_id, row.location_id), cause, reserved=-quantity)
            book.freed[PromiseKey(row.owner_id, row.line_no, row.location_id)] = quantity
    posting.write(session, book)


class _Left:
    """How much each line still has to give back."""

    def __init__(self, owners: Mapping[UUID, Mapping[int, int] | None]) -> None:
        self.owners = {owner: None if lines is None else dict(lines) for owner, lines in owners.items()}

    def take(self, row: AnyRow) -> int:
        lines = self.owners[row.owner_id]
        if lines is None:
            return int(row.quantity)
        quantity = min(row.quantity, lines.get(row.line_no, 0))
        if quantity:
            lines[row.line_no] -= quantity
        return int(quantity)
