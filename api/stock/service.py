"""The shelves: receiving, adjusting, promising and releasing stock, and showing what lies where.

Every change goes the same way: lock the levels in key order, decide in memory, write levels, ledger and promises in
one statement. So two callers can neither oversell nor deadlock, and the ledger always equals the balances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from api.events import service as events
from api.items import service as items
from api.locations import service as locations
from api.stock import promising, repository
from api.stock.booking import Book, Cause, LevelKey, PromiseKey
from api.stock.errors import InsufficientStock, ItemNotStocked, ItemUnknown, RepeatedItem, Shortage
from api.stock.models import ADJUSTMENT, RECEIPT, RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.errors import DomainError
    from api.core.orm import AnyRow
    from api.core.paging import Listing
    from api.stock.booking import Balance, Movement


class Line(TypedDict):
    """So many units of an item, to be received or adjusted."""

    item_id: UUID
    quantity: int


Demand = promising.Demand
Promise = promising.Promise


@dataclass(frozen=True, slots=True)
class Posting:
    """What a receipt or an adjustment did."""

    movements: Sequence[Movement]


@dataclass(frozen=True, slots=True)
class Availability:
    """How much of an item there is in all."""

    item_id: UUID
    locations: Sequence[Any]

    @property
    def on_hand(self) -> int:
        """What lies anywhere."""
        return sum(level.on_hand for level in self.locations)

    @property
    def reserved(self) -> int:
        """What is promised to open orders."""
        return sum(level.reserved for level in self.locations)

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved


def receive(
    session: Session,
    *,
    location_id: UUID,
    lines: Sequence[Line],
    by: Caller,
    reference: str | None = None,
    occurred_at: datetime | None = None,
) -> Posting:
    """Take stock in at one location.

    Raises:
        LocationUnknown, ItemUnknown, ItemNotStocked, RepeatedItem: as their docstrings say.

    """
    cause = Cause(RECEIPT, reference=reference, occurred_at=occurred_at)
    return _post(session, cause, location_id=location_id, lines=lines, by=by)


def adjust(
    session: Session,
    *,
    location_id: UUID,
    lines: Sequence[Line],
    reason: str,
    by: Caller,
    reference: str | None = None,
) -> Posting:
    """Correct what lies at one location by signed quantities, for a reason.

    Raises:
        InsufficientStock: a quantity would take away more than is available; promised units cannot be adjusted away.
        LocationUnknown, ItemUnknown, ItemNotStocked, RepeatedItem: as their docstrings say.

    """
    cause = Cause(ADJUSTMENT, reason=reason, reference=reference)
    return _post(session, cause, location_id=location_id, lines=lines, by=by)


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
    balances = repository.lock(session, wanted, location_id=location_id)
    book, places = Book(balances, by), _by_priority(session, balances)
    for promise in promises:
        promising.keep(book, promise, places)
    repository.write(session, book)


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
    repository.write(session, book)


def availability(session: Session, item_id: UUID) -> Availability:
    """Tell how much of an item there is, in all and per location.

    Raises:
        ItemNotFound: there is no such item.

    """
    items.get(session, item_id)
    return Availability(item_id, repository.availability(session, item_id))


def levels(_: Session, *, item_id: UUID | None = None, location_id: UUID | None = None) -> Listing:
    """List stock levels."""
    return repository.levels(item_id=item_id, location_id=location_id)


def movements(
    _: Session,
    *,
    item_id: UUID | None = None,
    location_id: UUID | None = None,
    source_id: UUID | None = None,
    kind: str | None = None,
) -> Listing:
    """List the ledger, newest first."""
    return repository.movements(item_id=item_id, location_id=location_id, source_id=source_id, kind=kind)


def audit(session: Session) -> Sequence[AnyRow]:
    """List every difference between ledger, balances, promises and orders. There are none."""
    return repository.differences(session)


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


def _post(session: Session, cause: Cause, *, location_id: UUID, lines: Sequence[Line], by: Caller) -> Posting:
    locations.ensure(session, location_id)
    _check_lines(session, lines)
    keys = [LevelKey(line["item_id"], location_id) for line in lines]
    repository.create_missing(session, keys)
    book = Book(repository.lock_at(session, keys), by)
    shortages = [
        Shortage(line["item_id"], requested=-line["quantity"], available=book.balances[key].available, line=number)
        for number, (key, line) in enumerate(zip(keys, lines, strict=True))
        if book.balances[key].available + line["quantity"] < 0
    ]
    if shortages:
        raise InsufficientStock.of(shortages)
    for key, line in zip(keys, lines, strict=True):
        book.move(key, cause, on_hand=line["quantity"])
    repository.write(session, book)
    data = {"kind": cause.kind, "reason": cause.reason, "reference": cause.reference, "lines": _facts(lines)}
    events.record(session, f"stock.{_PAST[cause.kind]}", location_id, data, by=by)
    return Posting(book.movements)


_PAST = {RECEIPT: "received", ADJUSTMENT: "adjusted"}


def _facts(lines: Iterable[Line]) -> list[dict[str, Any]]:
    return [{"item_id": str(line["item_id"]), "quantity": line["quantity"]} for line in lines]


def _check_lines(session: Session, lines: Sequence[Line]) -> None:
    known = items.facts_by_id(session, {line["item_id"] for line in lines})
    found: list[DomainError] = []
    seen: set[UUID] = set()
    for number, line in enumerate(lines):
        place = f"lines.{number}.item_id"
        if line["item_id"] not in known:
            found.append(ItemUnknown(at=place))
        elif not known[line["item_id"]].is_stocked:
            found.append(ItemNotStocked(at=place))
        elif line["item_id"] in seen:
            found.append(RepeatedItem(at=place))
        seen.add(line["item_id"])
    if found:
        raise type(found[0])(at=found[0].problem.field, problems=tuple(error.problem for error in found))


def _by_priority(session: Session, balances: Mapping[LevelKey, Balance]) -> list[UUID]:
    """Order the locations concerned by their priority; one location needs no asking."""
    ids = {key.location_id for key in balances}
    return list(ids) if len(ids) < 2 else locations.by_priority(session, ids)  # noqa: PLR2004  # one needs no order
