"""Transfers: stock goes from one location to another, at once or by a road on which nobody else can touch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from api.core import ids
from api.events import service as events
from api.locations import service as locations
from api.stock import service as stock
from api.transfers.errors import ExceedsInTransit, Excess, InvalidTransition, SameLocation, TransferNotFound
from api.transfers.models import CANCELLED, COMPLETED, IN_TRANSIT, Transfer, TransferLine
from api.transfers.repository import TransferRepository

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing

type Units = Mapping[int, int]
"""How many units of which lines, by their number."""


class Papers(TypedDict, total=False):
    """What is written down about a transfer."""

    reference: str
    note: str
    occurred_at: datetime


def send(
    session: Session,
    *,
    from_location_id: UUID,
    to_location_id: UUID,
    lines: Sequence[stock.Line],
    by: Caller,
    in_transit: bool = False,
    **papers: Unpack[Papers],
) -> Transfer:
    """Move units from one location to another, all or nothing: at once, or on to the road.

    There they are reserved for the transfer, until they are received, called back or lost.

    Raises:
        SameLocation: they would stay where they are.
        InsufficientStock, InsufficientStockThen: less is, or was, available where they come from.
        LocationUnknown, LocationArchived, LocationReserved: one of the two, as their docstrings say.
        ItemUnknown, ItemNotStocked, RepeatedItem, LevelChanged, InTheFuture: as their docstrings say.

    """
    if from_location_id == to_location_id:
        raise SameLocation
    locations.ensure(session, to_location_id, at="to_location_id")
    journey = stock.Journey(
        transfer_id=ids.new(),
        from_location_id=from_location_id,
        to_location_id=locations.transit(session) if in_transit else to_location_id,
        is_promised=in_transit,
        reference=papers.get("reference"),
        occurred_at=papers.get("occurred_at"),
    )
    posting, known = stock.send(session, journey, lines, by=by)
    moment = posting.movements[0].occurred_at
    transfer = Transfer(
        id=journey.transfer_id,
        from_location_id=from_location_id,
        to_location_id=to_location_id,
        status=IN_TRANSIT if in_transit else COMPLETED,
        reference=journey.reference,
        note=papers.get("note"),
        created_by=by.user_id,
        sent_at=moment,
        completed_at=None if in_transit else moment,
        lines=[
            TransferLine(
                line_no=one.number + 1,
                item_id=one.item.id,
                quantity=one.quantity,
                received_quantity=0 if in_transit else one.quantity,
            )
            for one in known
        ],
    )
    TransferRepository(session).add(transfer)
    units = {line.line_no: line.quantity for line in transfer.lines}
    _tell(session, "sent", transfer, units, by=by, in_transit=in_transit)
    if not in_transit:
        _tell(session, "received", transfer, units, by=by)
    return get(session, transfer.id)


def get(session: Session, transfer_id: UUID) -> Transfer:
    """Find a transfer with its lines.

    Raises:
        TransferNotFound: none has this id.

    """
    return _found(TransferRepository(session).with_lines(transfer_id))


def listing(session: Session, *, item_id: UUID | None = None, **facts: object) -> Listing:
    """List transfers without their lines, newest first; `facts` narrow it to a status, a location or a reference."""
    return TransferRepository(session).listing(item_id=item_id, **facts)


def receive(session: Session, transfer_id: UUID, *, by: Caller, lines: Sequence[stock.Line] | None = None) -> Transfer:
    """Take in what has arrived of a transfer: everything outstanding, or the units named.

    Raises:
        TransferNotFound: none has this id.
        InvalidTransition: nothing of it is in transit.
        ExceedsInTransit: naming every line that names more than is.
        LocationArchived: where it goes is no longer used.
        ItemUnknown, ItemNotStocked, RepeatedItem: as their docstrings say.

    """
    transfer = _under_way(session, transfer_id, wanted="received")
    locations.ensure(session, transfer.to_location_id, at="to_location_id")
    units = _chosen(session, transfer, lines)
    posting = _bring(session, transfer, units, to=transfer.to_location_id, by=by)
    for line in _of(transfer, units):
        line.received_quantity += units[line.line_no]
    _close(session, transfer, posting)
    _tell(session, "received", transfer, units, by=by)
    return get(session, transfer.id)


def cancel(session: Session, transfer_id: UUID, *, by: Caller, reason: str | None = None) -> Transfer:
    """Call a transfer back: what is outstanding goes to where it came from.

    A transfer of which something had arrived is then completed, and its lines tell what came back; only one of which
    nothing had is cancelled.

    Raises:
        TransferNotFound: none has this id.
        InvalidTransition: nothing of it is in transit.
        LocationArchived: where it came from is no longer used.

    """
    transfer = _under_way(session, transfer_id, wanted="cancelled")
    locations.ensure(session, transfer.from_location_id, at="from_location_id")
    units = _chosen(session, transfer, None)
    posting = _bring(session, transfer, units, to=transfer.from_location_id, by=by)
    for line in _of(transfer, units):
        line.returned_quantity += units[line.line_no]
    _close(session, transfer, posting, status=COMPLETED if transfer.has_arrived else CANCELLED)
    _tell(session, "cancelled", transfer, units, by=by, reason=reason)
    return get(session, transfer.id)


def write_off(
    session: Session, transfer_id: UUID, *, reason: str, by: Caller, lines: Sequence[stock.Line] | None = None
) -> Transfer:
    """Give up units that will not arrive, everything outstanding or those named, for a reason.

    Raises:
        TransferNotFound: none has this id.
        InvalidTransition: nothing of it is in transit.
        ExceedsInTransit: naming every line that names more than is.
        ItemUnknown, ItemNotStocked, RepeatedItem: as their docstrings say.

    """
    transfer = _under_way(session, transfer_id, wanted="written off")
    units = _chosen(session, transfer, lines)
    posting = _bring(session, transfer, units, to=None, by=by, reason=reason)
    for line in _of(transfer, units):
        line.lost_quantity += units[line.line_no]
    _close(session, transfer, posting)
    _tell(session, "written_off", transfer, units, by=by, reason=reason)
    return get(session, transfer.id)


def _found(transfer: Transfer | None) -> Transfer:
    if transfer is None:
        raise TransferNotFound
    return transfer


def _under_way(session: Session, transfer_id: UUID, *, wanted: str) -> Transfer:
    """Lock a transfer of which something is in transit; of several who want the same units, the first gets them."""
    transfer = _found(TransferRepository(session).with_lines(transfer_id, locked=True))
    if transfer.status != IN_TRANSIT:
        raise InvalidTransition(status=transfer.status, wanted=wanted)
    return transfer


def _chosen(session: Session, transfer: Transfer, lines: Sequence[stock.Line] | None) -> Units:
    if lines is None:
        return {line.line_no: line.outstanding_quantity for line in transfer.lines if line.outstanding_quantity}
    carried = {line.item_id: line for line in transfer.lines}
    units: dict[int, int] = {}
    excesses = []
    for one in stock.resolve(session, lines):
        line = carried.get(one.item.id)
        outstanding = line.outstanding_quantity if line else 0
        if line is None or one.quantity > outstanding:
            excesses.append(Excess(one.item.id, requested=one.quantity, in_transit=outstanding, line=one.number))
        else:
            units[line.line_no] = one.quantity
    if excesses:
        raise ExceedsInTransit.of(excesses)
    return units


def _of(transfer: Transfer, units: Units) -> Iterable[TransferLine]:
    return (line for line in transfer.lines if line.line_no in units)


def _bring(
    session: Session, transfer: Transfer, units: Units, *, to: UUID | None, by: Caller, reason: str | None = None
) -> stock.Posting:
    return stock.bring(
        session,
        transfer_id=transfer.id,
        from_location_id=locations.transit(session),
        to_location_id=to,
        lines=[
            stock.Carried(line_no=line.line_no, item_id=line.item_id, quantity=units[line.line_no])
            for line in _of(transfer, units)
        ],
        by=by,
        reference=transfer.reference,
        reason=reason,
    )


def _close(session: Session, transfer: Transfer, posting: stock.Posting, *, status: str = COMPLETED) -> None:
    """Write what has become of units; when none is left in transit, the transfer has come to its end."""
    if not transfer.is_under_way:
        transfer.status, transfer.completed_at = status, posting.movements[0].occurred_at
    TransferRepository(session).touch(transfer)


def _tell(session: Session, what: str, transfer: Transfer, units: Units, *, by: Caller, **facts: object) -> None:
    data = {
        "from_location_id": str(transfer.from_location_id),
        "to_location_id": str(transfer.to_location_id),
        "status": transfer.status,
        "reference": transfer.reference,
        "lines": [{"item_id": str(line.item_id), "quantity": units[line.line_no]} for line in _of(transfer, units)],
    }
    events.record(session, f"stock.transfer_{what}", transfer.id, data | facts, by=by)
