"""Goods that come, go and move: lines are checked, booked on locked levels, and written with their ledger.

Every posting is all or nothing, and reports everything that is wrong with it, each at its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from api.core.errors import Problem
from api.core.prepared import settle
from api.events import service as events
from api.items import service as items
from api.locations import service as locations
from api.stock import bookkeeping, repository
from api.stock.booking import Book, Cause, LevelKey, PromiseKey
from api.stock.errors import (
    InsufficientStock,
    InsufficientStockThen,
    InTheFuture,
    ItemNotStocked,
    ItemUnknown,
    LevelChanged,
    RepeatedItem,
    Shortage,
    TooLongAgo,
)
from api.stock.models import ADJUSTMENT, COUNT, RECEIPT, RETURN, TRANSFER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.errors import DomainError
    from api.core.money import Money
    from api.items.service import ItemFacts
    from api.stock.booking import Balance, Movement, Since

CLOCKS_DIFFER_BY = timedelta(minutes=1)
"""So much ahead of the database another clock may be without being told that its time has not come."""


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""The ledger cannot be changed, so nothing is dated back to 1926 by a slip of the pen."""


class Line(TypedDict, total=False):
    """So many units of an item, named by id or SKU, to be moved, if its level is still as expected."""

    item_id: UUID
    sku: str
    quantity: int
    unit_cost: Money | None
    expected_on_hand: int
    expected_version: int


@dataclass(frozen=True, slots=True)
class Known:
    """A line with what the catalogue knows about its item."""

    number: int
    item: ItemFacts
    quantity: int
    line: Line


class Carried(TypedDict):
    """So many units of one line of a transfer."""

    line_no: int
    item_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Posting:
    """What was written to the ledger."""

    movements: Sequence[Movement]


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

    Units are worth their line's `unit_cost`; without one the item's cost price, else the average of those that lie
    there.

    Raises:
        LocationUnknown, LocationArchived, ItemUnknown, ItemNotStocked, RepeatedItem, LevelChanged, InTheFuture: as
            their docstrings say.

    """
    cause = Cause(RECEIPT, reference=reference, occurred_at=past(session, occurred_at))
    return _post(session, cause, location_id=location_id, lines=lines, by=by)


def adjust(
    session: Session,
    *,
    location_id: UUID,
    lines: Sequence[Line],
    reason: str,
    by: Caller,
    reference: str | None = None,
    occurred_at: datetime | None = None,
) -> Posting:
    """Correct what lies at one location by signed quantities, for a reason.

    Units come and go at the average of those that lie there; where none do, they come at the item's cost price.

    Raises:
        InsufficientStock: a quantity would take away more than is available; promised units cannot be adjusted away.
        InsufficientStockThen: the same, at some time since the moment it is dated back to.
        LocationUnknown, LocationArchived, ItemUnknown, ItemNotStocked, RepeatedItem, LevelChanged, InTheFuture: as
            their docstrings say.

    """
    cause = Cause(ADJUSTMENT, reason=reason, reference=reference, occurred_at=past(session, occurred_at))
    return _post(session, cause, location_id=location_id, lines=lines, by=by)


def correct(
    session: Session, *, count_id: UUID, location_id: UUID, lines: Sequence[Line], by: Caller, reference: str | None
) -> Posting:
    """Book the differences that a stock count found; the count tells the world.

    Raises:
        InsufficientStock: units are missing that are promised.

    """
    cause = Cause(COUNT, reference=reference, source_id=count_id)
    return _post(session, cause, location_id=location_id, lines=lines, by=by)


@dataclass(frozen=True, slots=True)
class Journey:
    """From where to where a transfer's units go; `is_promised` reserves them where they arrive, for the transfer."""

    transfer_id: UUID
    from_location_id: UUID
    to_location_id: UUID
    is_promised: bool = False
    reference: str | None = None
    occurred_at: datetime | None = None


def send(session: Session, journey: Journey, lines: Sequence[Line], *, by: Caller) -> tuple[Posting, Sequence[Known]]:
    """Move units from one location to another with their worth. The caller has made sure of where they go.

    Raises:
        InsufficientStock, InsufficientStockThen: less is, or was, available where they come from.
        LocationUnknown, LocationArchived, LocationReserved: where they come from, as their docstrings say.
        ItemUnknown, ItemNotStocked, RepeatedItem, LevelChanged, InTheFuture: as their docstrings say.

    """
    here, there = journey.from_location_id, journey.to_location_id
    locations.ensure(session, here, at="from_location_id")
    moment = past(session, journey.occurred_at)
    cause = Cause(TRANSFER, reference=journey.reference, source_id=journey.transfer_id, occurred_at=moment)
    known = resolve(session, lines)
    sources = [LevelKey(one.item.id, here) for one in known]
    targets = [LevelKey(one.item.id, there) for one in known]
    repository.create_missing(session, [*sources, *targets])
    book = Book(repository.lock_at(session, [*sources, *targets]), by)
    _check_there(book, sources, known)
    _check_expected(book, sources, known)
    taken = [(one, one.quantity) for one in known]
    past_of = _check_available(session, book, sources, taken, since=cause.occurred_at)
    for one, source, target in zip(known, sources, targets, strict=True):
        worth = _worth_then(book.balances[source], one.quantity, past_of.get(source))
        gone = book.move(source, cause, on_hand=-one.quantity, value=worth)
        reserved = one.quantity if journey.is_promised else 0
        book.move(target, cause, on_hand=one.quantity, reserved=reserved, value=-gone.value_change)
        if journey.is_promised:
            book.keep(PromiseKey(journey.transfer_id, one.number + 1, there), one.item.id, one.quantity)
    return _written(session, book), known


def bring(
    session: Session,
    *,
    transfer_id: UUID,
    from_location_id: UUID,
    to_location_id: UUID | None,
    lines: Sequence[Carried],
    by: Caller,
    reference: str | None = None,
    reason: str | None = None,
) -> Posting:
    """Move units that are promised to a transfer to where they go, or to nowhere: then they are lost, for a reason."""
    sources = [LevelKey(line["item_id"], from_location_id) for line in lines]
    targets = [LevelKey(line["item_id"], to_location_id) for line in lines] if to_location_id else []
    repository.create_missing(session, targets)
    book = Book(repository.lock_at(session, [*sources, *targets]), by)
    kind = TRANSFER if to_location_id else ADJUSTMENT
    cause = Cause(kind, reason=reason, reference=reference, source_id=transfer_id)
    for number, line in enumerate(lines):
        gone = book.move(sources[number], cause, on_hand=-line["quantity"], reserved=-line["quantity"])
        book.free(PromiseKey(transfer_id, line["line_no"], from_location_id), line["quantity"])
        if targets:
            book.move(targets[number], cause, on_hand=line["quantity"], value=-gone.value_change)
    return _written(session, book)


class Returned(TypedDict):
    """Units of one line of a return, and what they are worth."""

    item_id: UUID
    location_id: UUID
    quantity: int
    value: Money


def take_back(
    session: Session, *, return_id: UUID, lines: Sequence[Returned], by: Caller, reference: str | None = None
) -> Posting:
    """Take units in again that an order had taken away. The caller has made sure of where they go."""
    keys = [LevelKey(line["item_id"], line["location_id"]) for line in lines]
    repository.create_missing(session, keys)
    book = Book(repository.lock_at(session, keys), by)
    cause = Cause(RETURN, reference=reference, source_id=return_id)
    for key, line in zip(keys, lines, strict=True):
        book.move(key, cause, on_hand=line["quantity"], value=line["value"])
    return _written(session, book)


def resolve(session: Session, lines: Sequence[Line]) -> list[Known]:
    """Look every line's item up.

    Raises:
        ItemUnknown, ItemNotStocked, RepeatedItem: naming every such line.

    """
    ids = {line["item_id"] for line in lines if "item_id" in line}
    skus = {line["sku"].lower() for line in lines if "sku" in line}
    facts = items.facts(session, ids=ids, skus=skus)
    known: list[Known] = []
    refused: list[DomainError] = []
    seen: set[UUID] = set()
    for number, line in enumerate(lines):
        name = "item_id" if "item_id" in line else "sku"
        place = f"lines.{number}.{name}"
        item = facts.get(line["item_id"] if name == "item_id" else line["sku"].lower())
        if item is None:
            refused.append(ItemUnknown(at=place))
        elif not item.is_stocked:
            refused.append(ItemNotStocked(at=place))
        elif item.id in seen:
            refused.append(RepeatedItem(at=place))
        else:
            seen.add(item.id)
            known.append(Known(number, item, line["quantity"], line))
    if refused:
        raise type(refused[0])(at=refused[0].problem.field, problems=tuple(error.problem for error in refused))
    return known


def past(session: Session, moment: datetime | None, *, at: str = "occurred_at") -> datetime | None:
    """Read a moment that a request names (in the field `at`) by the database's clock; None means now.

    Raises:
        InTheFuture: it has not come.
        TooLongAgo: its year is a slip of the pen.

    """
    if moment is None:
        return None
    if moment < EARLIEST:
        raise TooLongAgo(at=at, year=EARLIEST.year)
    now = repository.now(session)
    if moment > now + CLOCKS_DIFFER_BY:
        raise InTheFuture(at=at)
    return moment if moment < now else None


def _post(session: Session, cause: Cause, *, location_id: UUID, lines: Sequence[Line], by: Caller) -> Posting:
    locations.ensure(session, location_id)
    known = resolve(session, lines)
    keys = [LevelKey(one.item.id, location_id) for one in known]
    repository.create_missing(session, keys)
    book = Book(repository.lock_at(session, keys), by)
    _check_there(book, keys, known)
    _check_expected(book, keys, known)
    taken = [(one, -one.quantity) for one in known]
    past_of = _check_available(session, book, keys, taken, since=cause.occurred_at)
    for key, one in zip(keys, known, strict=True):
        balance = book.balances[key]
        if one.quantity < 0:
            worth = _worth_then(balance, -one.quantity, past_of.get(key))
        else:
            worth = _worth(cause, one, balance)
        book.move(key, cause, on_hand=one.quantity, value=worth)
    posting = _written(session, book)
    if cause.kind in _PAST:
        data = {"kind": cause.kind, "reason": cause.reason, "reference": cause.reference, "lines": facts_of(known)}
        events.record(session, f"stock.{_PAST[cause.kind]}", location_id, data, by=by)
    return posting


def _written(session: Session, book: Book) -> Posting:
    """Write a book, and tell what has been written when it is known when."""
    bookkeeping.write(session, book)
    settle(session)
    return Posting(book.movements)


_PAST = {RECEIPT: "received", ADJUSTMENT: "adjusted"}


def facts_of(known: Iterable[Known]) -> list[dict[str, Any]]:
    """Tell what an event says about lines."""
    return [{"item_id": str(one.item.id), "quantity": one.quantity} for one in known]


def _worth(cause: Cause, one: Known, balance: Balance) -> Money | None:
    """Tell what comes in is worth; None means the average of what lies there."""
    cost = one.line.get("unit_cost")
    if cost is None and (cause.kind == RECEIPT or not balance.on_hand):
        cost = one.item.cost_price
    return None if cost is None else cost * one.quantity


def _worth_then(balance: Balance, quantity: int, then: Since | None) -> Money | None:
    """Tell what units take with them that went in the past: what they were worth then, unless they are the last.

    None means the average of what lies there.
    """
    if then is None or quantity == balance.on_hand:
        return None
    return -min(then.worth(quantity), balance.value)


def _check_there(book: Book, keys: Sequence[LevelKey], known: Sequence[Known]) -> None:
    """Notice items that were deleted after they had been looked up: no level could be made for them."""
    gone = [one for key, one in zip(keys, known, strict=True) if key not in book.balances]
    if gone:
        problems = tuple(ItemUnknown(at=f"lines.{one.number}.item_id").problem for one in gone)
        raise ItemUnknown(at=problems[0].field, problems=problems)


def _check_expected(book: Book, keys: Sequence[LevelKey], known: Sequence[Known]) -> None:
    problems = []
    for key, one in zip(keys, known, strict=True):
        balance = book.balances[key]
        present = {"expected_on_hand": balance.on_hand, "expected_version": balance.version}
        wrong = [name for name, value in present.items() if name in one.line and one.line[name] != value]  # type: ignore[literal-required]  # both are keys of Line
        facts = {"item_id": str(one.item.id), "on_hand": balance.on_hand, "version": balance.version}
        problems += [
            Problem(LevelChanged.code, LevelChanged.message, f"lines.{one.number}.{name}", facts) for name in wrong
        ]
    if problems:
        raise LevelChanged(at=problems[0].field, problems=tuple(problems))


def _check_available(
    session: Session,
    book: Book,
    keys: Sequence[LevelKey],
    taken: Sequence[tuple[Known, int]],
    *,
    since: datetime | None,
) -> dict[LevelKey, Since]:
    """Make sure that so much of lines can be taken from locked levels, now and ever since.

    Returns:
        How levels have been since, where that matters.

    """
    wanted = {key: (one, quantity) for key, (one, quantity) in zip(keys, taken, strict=True) if quantity > 0}
    if _shortages(wanted, {key: book.available(key) for key in wanted}):
        bookkeeping.lapse(session, book, {key.item_id for key in wanted})
    if shortages := _shortages(wanted, {key: book.available(key) for key in wanted}):
        raise InsufficientStock.of(shortages)
    if since is None or not wanted:
        return {}
    past_of = repository.since(session, wanted.keys(), since)
    if shortages := _shortages(wanted, {key: then.available for key, then in past_of.items()}):
        problems = tuple(
            Problem(InsufficientStockThen.code, problem.message, problem.field, problem.facts)
            for problem in (shortage.as_problem() for shortage in shortages)
        )
        raise InsufficientStockThen(at=problems[0].field, problems=problems, since=since.isoformat())
    return past_of


def _shortages(wanted: Mapping[LevelKey, tuple[Known, int]], available: Mapping[LevelKey, int]) -> list[Shortage]:
    return [
        Shortage(key.item_id, requested=quantity, available=available.get(key, 0), line=one.number, sku=one.item.sku)
        for key, (one, quantity) in wanted.items()
        if quantity > available.get(key, 0)
    ]
