"""Promises: units are kept for an owner (an order, a reservation), given back, handed over, or shipped.

The row lock of a level is the mutex of everything that is kept there. So whoever changes promises locks the owner's own
row first (that is the caller's part), then levels in key order, and reads what is kept only then.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from api.core.errors import Problem
from api.stock import bookkeeping, promising, repository
from api.stock.booking import Book, Cause, LevelKey, LineKey, PromiseKey
from api.stock.errors import InsufficientStock, NotAllocated
from api.stock.models import RELEASE, SHIPMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.orm import AnyRow
    from api.stock.promising import Promise

type Backordered = Mapping[int, int]
"""How many units of which lines wait, by line number."""

type Units = Mapping[int, int]
"""How many units of which lines, by line number."""


class Gone(NamedTuple):
    """Units of one line that have left one location, and what they were worth there."""

    line_no: int
    item_id: UUID
    location_id: UUID
    quantity: int
    value: Money


def reserve(session: Session, promise: Promise, *, by: Caller) -> Backordered:
    """Promise everything that is asked for, or raise and promise none. What is short and may wait is backordered.

    Demands for the same item are added up before they are compared. All shortages are reported, not the first.

    Raises:
        InsufficientStock: naming every item that is short and may not wait.

    """
    return reserve_all(session, [promise], by=by)[promise.owner_id]


def reserve_all(session: Session, promises: Sequence[Promise], *, by: Caller) -> Mapping[UUID, Backordered]:
    """Promise what several owners ask for, one after the other, in one statement.

    Raises:
        InsufficientStock: one of them cannot be served; none is.

    """
    book, refused = _keep_each(session, promises, by=by)
    if refused:
        raise next(iter(refused.values()))
    return _written(session, book, promises)


def reserve_each(
    session: Session, promises: Sequence[Promise], *, by: Caller
) -> tuple[Mapping[UUID, Backordered], Mapping[UUID, InsufficientStock]]:
    """Promise what each of several owners asks for, or tell why not; one that is refused does not spoil the others."""
    book, refused = _keep_each(session, promises, by=by)
    kept = [promise for promise in promises if promise.owner_id not in refused]
    return _written(session, book, kept), refused


def revise(session: Session, promise: Promise, less: Units, *, by: Caller) -> Backordered:
    """Give back so many units of an owner's lines, and promise what is asked for in addition, in one booking.

    Raises:
        InsufficientStock: as in `reserve`; nothing is given back then.

    """
    items = {demand.item_id for demand in promise.demands}
    balances, places = repository.lock_for_change(session, promise.owner_id, items)
    book = Book(balances, by, tops_up=True)
    _give_back(session, book, {promise.owner_id: less})
    if refusal := _keep(session, book, promise, places):
        raise refusal
    return _written(session, book, [promise])[promise.owner_id]


def release(
    session: Session, owner_id: UUID, *, by: Caller, quantities: Units | None = None, reason: str | None = None
) -> None:
    """Give back what an owner holds: everything, or so many units of the lines named, those that wait first."""
    release_all(session, {owner_id: quantities}, by=by, reason=reason)


def release_all(
    session: Session,
    owners: Mapping[UUID, Units | None],
    *,
    by: Caller,
    occurred_at: Mapping[UUID, datetime] | None = None,
    reason: str | None = None,
) -> None:
    """Give back what several owners hold, wholly (None) or so many units of the lines named."""
    book = Book(repository.lock_of_owners(session, owners.keys()), by)
    _give_back(session, book, owners, occurred_at=occurred_at or {}, reason=reason)
    if book.freed or book.served:
        bookkeeping.write(session, book)


def hand_over(session: Session, from_owner: UUID, to_owner: UUID) -> int:
    """Make what a reservation keeps an order's, line by line and for good; tells how many units it kept.

    The caller looks at the clock afterwards: once these rows are locked, nobody can have let them lapse in time.
    """
    units: int = sum(row.quantity for row in repository.promises(session, [from_owner]))
    repository.hand_over(session, from_owner, to_owner)
    return units


def extend(session: Session, owner_id: UUID, expires_at: datetime) -> int:
    """Keep what a reservation keeps until another moment; tells how many units it is.

    The caller looks at the clock afterwards, as above.
    """
    units: int = sum(row.quantity for row in repository.promises(session, [owner_id]))
    repository.extend(session, owner_id, expires_at)
    return units


def ship(
    session: Session,
    owner_id: UUID,
    *,
    shipment_id: UUID,
    by: Caller,
    units: Units | None = None,
    location_id: UUID | None = None,
    reference: str | None = None,
) -> list[Gone]:
    """Take units away that are kept for an order: everything (None), or so many of the lines named.

    A location named is the only one they leave from.

    Raises:
        NotAllocated: fewer are kept, naming every such line; its number stands for the place it has in a request.

    """
    book = Book(repository.lock_of_owners(session, [owner_id]), by)
    held = [row for row in _held(session, book, [owner_id]) if location_id in {None, row.location_id}]
    wanted = _all_of(held) if units is None else dict(units)
    _check_allocated(held, wanted)
    cause = Cause(SHIPMENT, reference=reference, source_id=shipment_id)
    gone = []
    for row in held:
        quantity = min(row.quantity, wanted.get(row.line_no, 0))
        if quantity:
            wanted[row.line_no] -= quantity
            key = LevelKey(row.item_id, row.location_id)
            movement = book.move(key, cause, on_hand=-quantity, reserved=-quantity)
            book.free(PromiseKey(owner_id, row.line_no, row.location_id), quantity)
            gone.append(Gone(row.line_no, row.item_id, row.location_id, quantity, -movement.value_change))
    if gone:
        bookkeeping.write(session, book)
    return gone


def promises(session: Session, owner_id: UUID) -> Sequence[AnyRow]:
    """Tell what is kept for an owner where: line_no, location_id, item_id and quantity."""
    return repository.promises(session, [owner_id], locked=False)


MOST_AT_ONCE = 500


def serve_backorders(session: Session, *, by: Caller, at_most: int = MOST_AT_ONCE) -> int:
    """Serve those who wait although there is something for them; tells how many lines got something.

    Units are kept for them when they come; what this finds came to a new place at the moment they began to wait.
    """
    items = repository.awaited_and_available(session, at_most=at_most)
    if not items:
        return 0
    balances, _ = repository.lock_for_sale(session, items)
    book = Book(balances, by)
    bookkeeping.serve(session, book, items)
    if book.served:
        bookkeeping.write(session, book)
    return len(book.served)


def _keep_each(
    session: Session, promises: Sequence[Promise], *, by: Caller
) -> tuple[Book, dict[UUID, InsufficientStock]]:
    """Book each promise or its refusal, on levels that are locked together, in key order."""
    wanted = {demand.item_id for promise in promises for demand in promise.demands}
    if not wanted:
        return Book({}, by), {}
    locations = {promise.location_id for promise in promises}
    only = locations.pop() if len(locations) == 1 else None
    balances, places = repository.lock_for_sale(session, wanted, location_id=only)
    book, refused = Book(balances, by), {}
    for promise in promises:
        if refusal := _keep(session, book, promise, places):
            refused[promise.owner_id] = refusal
    return book, refused


def _keep(session: Session, book: Book, promise: Promise, places: Sequence[UUID]) -> InsufficientStock | None:
    """Book one promise, or tell why not before anything of it is booked. Holds that are over give way."""
    if promising.shortages(book, promise, places, that_may_wait=True):
        bookkeeping.lapse(session, book, promise.totals)
        bookkeeping.serve(session, book, promise.totals)
        if short := promising.shortages(book, promise, places):
            return InsufficientStock.of(short)
    promising.keep(book, promise, places)
    return None


def _written(session: Session, book: Book, promises: Collection[Promise]) -> Mapping[UUID, Backordered]:
    if book.movements or book.waiting or book.served:
        bookkeeping.write(session, book)
    waiting: dict[UUID, dict[int, int]] = {promise.owner_id: {} for promise in promises}
    for key, backorder in book.waiting.items():
        waiting[key.owner_id][key.line_no] = backorder.quantity
    return waiting


def _give_back(
    session: Session,
    book: Book,
    owners: Mapping[UUID, Units | None],
    *,
    occurred_at: Mapping[UUID, datetime] | None = None,
    reason: str | None = None,
) -> None:
    """Book what ends of what owners wait for and hold."""
    waiting = repository.waiting_of(session, owners.keys())
    held = _held(session, book, owners.keys())
    left = _Left(owners)
    for row in waiting:
        if quantity := left.take(row):
            book.serve(LineKey(row.owner_id, row.line_no), quantity)
    moments = occurred_at or {}
    for row in held:
        if quantity := left.take(row):
            cause = Cause(RELEASE, reason=reason, source_id=row.owner_id, occurred_at=moments.get(row.owner_id))
            book.move(LevelKey(row.item_id, row.location_id), cause, reserved=-quantity)
            book.free(PromiseKey(row.owner_id, row.line_no, row.location_id), quantity)


def _held(session: Session, book: Book, owners: Collection[UUID]) -> Sequence[AnyRow]:
    """Read what owners hold; a backorder may have been served at a level that is new since the others were locked."""
    held = repository.promises(session, owners)
    if unknown := {LevelKey(row.item_id, row.location_id) for row in held} - book.balances.keys():
        book.balances |= repository.lock_at(session, unknown)
    return held


def _all_of(held: Sequence[AnyRow]) -> dict[int, int]:
    units: dict[int, int] = defaultdict(int)
    for row in held:
        units[row.line_no] += row.quantity
    return units


def _check_allocated(held: Sequence[AnyRow], wanted: Units) -> None:
    allocated = _all_of(held)
    problems = []
    for line_no, quantity in wanted.items():
        there = allocated.get(line_no, 0)
        if quantity > there:
            message = f"{quantity} are to be shipped of line {line_no} and {there} are allocated."
            facts: dict[str, object] = {"line_no": line_no, "requested": quantity, "allocated": there}
            problems.append(Problem(NotAllocated.code, message, "lines", facts))
    if problems:
        raise NotAllocated.of(problems)


class _Left:
    """How much each line still has to give back."""

    def __init__(self, owners: Mapping[UUID, Units | None]) -> None:
        self.owners = {owner: None if lines is None else dict(lines) for owner, lines in owners.items()}

    def take(self, row: AnyRow) -> int:
        lines = self.owners[row.owner_id]
        if lines is None:
            return int(row.quantity)
        quantity = min(row.quantity, lines.get(row.line_no, 0))
        if quantity:
            lines[row.line_no] -= quantity
        return int(quantity)
