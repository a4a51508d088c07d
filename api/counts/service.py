"""Stock counts: several people count what lies at a location while work goes on, and the differences are booked.

An entry keeps what should have lain there at its moment. What is booked is the difference found then, on top of what
lies there now: so whatever has come and gone since is neither undone nor counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from api.core import ids
from api.core.errors import Problem
from api.counts.errors import CountNotFound, CountOpen, InvalidTransition
from api.counts.models import CANCELLED, OPEN, POSTED, Count
from api.counts.repository import CountRepository
from api.events import service as events
from api.items import service as items
from api.locations import service as locations
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow
    from api.core.paging import Listing

KEEP, ZERO = "keep", "zero"
"""What becomes of items that lie there and that nobody has counted: they stay, or are booked away."""


class Found(TypedDict, total=False):
    """So many units of an item that somebody found; `recount` replaces what was entered for it before."""

    item_id: UUID
    sku: str
    quantity: int
    recount: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What was entered."""

    id: UUID
    item_id: UUID
    sku: str
    quantity: int
    on_hand: int
    counted_by: UUID | None
    counted_at: datetime
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Entries:
    """What was entered together."""

    entries: Sequence[Entry]


def open_(
    session: Session, *, location_id: UUID, by: Caller, reference: str | None = None, note: str | None = None
) -> AnyRow:
    """Begin to count what lies at a location.

    Raises:
        CountOpen: it is being counted already.
        LocationUnknown, LocationArchived, LocationReserved: as their docstrings say.

    """
    locations.ensure(session, location_id)
    counts = CountRepository(session)
    present = counts.open_at(location_id)
    if present:  # names the culprit in the usual case; the unique index settles races
        facts: dict[str, object] = {"count_id": str(present)}
        raise CountOpen(problems=(Problem(CountOpen.code, CountOpen.message, CountOpen.field, facts),))
    count = counts.add(Count(location_id=location_id, reference=reference, note=note, created_by=by.user_id))
    events.record(session, "stock.count_opened", count.id, _facts(count), by=by)
    return get(session, count.id)


def get(session: Session, count_id: UUID) -> AnyRow:
    """Read a count with what was found in all.

    Raises:
        CountNotFound: none has this id.

    """
    count = CountRepository(session).shown(count_id)
    if count is None:
        raise CountNotFound
    return count


def open_at(session: Session, location_id: UUID) -> UUID:
    """Tell which count of a location is open.

    Raises:
        CountNotFound: none is.

    """
    count_id = CountRepository(session).open_at(location_id)
    if count_id is None:
        raise CountNotFound
    return count_id


def listing(session: Session, **facts: object) -> Listing:
    """List counts, newest first; `facts` narrow it to a location or a status."""
    return CountRepository(session).listing(**facts)


def enter(session: Session, count_id: UUID, *, lines: Sequence[Found], by: Caller) -> Entries:
    """Write down what somebody found; several entries of one item add up, unless one is a recount.

    Raises:
        CountNotFound: none has this id.
        InvalidTransition: it is no longer open.
        ItemUnknown, ItemNotStocked, RepeatedItem: as their docstrings say.

    """
    counts = CountRepository(session)
    count = counts.entered(count_id, alone=any(line.get("recount") for line in lines))
    if count is None:
        raise CountNotFound
    if count.status != OPEN:
        raise InvalidTransition(status=count.status, wanted="entered into")
    known = stock.resolve(session, [_without_recount(line) for line in lines])
    recounted = [one.item.id for one in known if lines[one.number].get("recount")]
    if recounted:
        counts.replace(count_id, recounted)
    present = stock.on_hand(session, location_id=count.location_id, item_ids=[one.item.id for one in known])
    rows = [(ids.new(), one.item.id, one.quantity, present.get(one.item.id, 0)) for one in known]
    moment = counts.enter(count_id, rows, by=by.user_id)
    return Entries(
        [
            Entry(id_, item_id, one.item.sku, quantity, on_hand, by.user_id, moment)
            for one, (id_, item_id, quantity, on_hand) in zip(known, rows, strict=True)
        ]
    )


def entries(session: Session, count_id: UUID, *, item_id: UUID | None = None) -> Listing:
    """List what people entered, as they did.

    Raises:
        CountNotFound: none has this id.

    """
    _located(session, count_id)
    return CountRepository(session).entries(count_id, item_id=item_id)


def lines(session: Session, count_id: UUID, *, differing: bool = False, uncounted: bool = False) -> Listing:
    """List what was found item by item, or what lies there and nobody has counted.

    Raises:
        CountNotFound: none has this id.

    """
    counts, location_id = CountRepository(session), _located(session, count_id)
    if uncounted:
        return counts.uncounted(count_id, location_id)
    return counts.lines(count_id, location_id, differing=differing)


def post(session: Session, count_id: UUID, *, by: Caller, uncounted: str = KEEP) -> AnyRow:
    """Book the differences that were found, all or none; with `ZERO`, what nobody has counted is gone.

    Raises:
        CountNotFound: none has this id.
        InvalidTransition: it is no longer open.
        InsufficientStock: units are missing that are promised, or gone meanwhile; each is named.
        LocationArchived: it is no longer used.

    """
    count = _locked(session, count_id, wanted="posted")
    counts = CountRepository(session)
    corrections = {row.item_id: row.difference for row in counts.corrections(count_id)}
    if uncounted == ZERO:
        corrections |= {row.item_id: row.difference for row in counts.missing(count_id, count.location_id)}
    if corrections:
        _correct(session, count, corrections, by=by)
    counts.close(count, status=POSTED, by=by.user_id)
    news = {
        "corrections": len(corrections),
        "units_found": sum(units for units in corrections.values() if units > 0),
        "units_missing": -sum(units for units in corrections.values() if units < 0),
        "lines": [{"item_id": str(item_id), "quantity": units} for item_id, units in corrections.items()],
    }
    events.record(session, "stock.count_posted", count.id, _facts(count) | news, by=by)
    return get(session, count_id)


def cancel(session: Session, count_id: UUID, *, by: Caller) -> AnyRow:
    """Give a count up; nothing is booked.

    Raises:
        CountNotFound: none has this id.
        InvalidTransition: it is no longer open.

    """
    count = _locked(session, count_id, wanted="cancelled")
    CountRepository(session).close(count, status=CANCELLED, by=by.user_id)
    events.record(session, "stock.count_cancelled", count.id, _facts(count), by=by)
    return get(session, count_id)


def _located(session: Session, count_id: UUID) -> UUID:
    count = CountRepository(session).get(count_id)
    if count is None:
        raise CountNotFound
    return count.location_id


def _locked(session: Session, count_id: UUID, *, wanted: str) -> Count:
    """Lock an open count: nobody's entry comes too late for what is decided now without being told so."""
    count = CountRepository(session).locked(count_id)
    if count is None:
        raise CountNotFound
    if count.status != OPEN:
        raise InvalidTransition(status=count.status, wanted=wanted)
    return count


def _without_recount(found: Found) -> stock.Line:
    line = stock.Line(quantity=found["quantity"])
    if "item_id" in found:
        line["item_id"] = found["item_id"]
    else:
        line["sku"] = found["sku"]
    return line


def _correct(session: Session, count: Count, corrections: Mapping[UUID, int], *, by: Caller) -> None:
    wanted = [stock.Line(item_id=item_id, quantity=units) for item_id, units in corrections.items()]
    try:
        stock.correct(
            session, count_id=count.id, location_id=count.location_id, lines=wanted, by=by, reference=count.reference
        )
    except stock.InsufficientStock as refusal:  # it names lines, of which whoever posts has sent none
        raise stock.InsufficientStock(
            problems=_by_name(session, refusal.problems), count=len(refusal.problems)
        ) from refusal


def _by_name(session: Session, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Name items by their SKU instead of by a line."""
    short = [UUID(str(problem.facts["item_id"])) for problem in problems]
    known = items.facts_by_id(session, short)
    return tuple(
        Problem(problem.code, f"{known[item_id].sku}: {problem.message}", None, problem.facts)
        for item_id, problem in zip(short, problems, strict=True)
    )


def _facts(count: Count) -> dict[str, object]:
    return {"location_id": str(count.location_id), "reference": count.reference}
