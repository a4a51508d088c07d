"""What every booking ends with: holds that are over lapse, backorders are served, low stock is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.events import service as events
from api.stock import repository
from api.stock.booking import Cause, LevelKey, LineKey, PromiseKey
from api.stock.models import RELEASE, RESERVE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.stock.booking import Book

LAPSED, BACKORDER = "lapsed", "backorder"
"""Reasons in the ledger: a hold was over, a backorder was served."""


def lapse(session: Session, book: Book, item_ids: Collection[UUID]) -> None:
    """Make units available, at locked levels, that are kept for holds whose time is over.

    Whoever would be refused does this first, so that nobody is refused units that readers see as available. What the
    hold keeps of other items lapses when they are asked for, or when the minute is over.
    """
    for row in repository.expired(session, item_ids):
        key, kept = LevelKey(row.item_id, row.location_id), PromiseKey(row.owner_id, row.line_no, row.location_id)
        if key in book.balances and kept not in book.freed:
            cause = Cause(RELEASE, reason=LAPSED, source_id=row.owner_id, occurred_at=row.expires_at)
            book.move(key, cause, reserved=-row.quantity)
            book.free(kept, row.quantity)


def serve(session: Session, book: Book, items: Collection[UUID]) -> None:
    """Keep what is available of items, at locked levels, for those who have waited longest."""
    there = {key.item_id for key, balance in book.balances.items() if balance.available > 0}
    waiting = repository.waiting_for(session, there.intersection(items)) if there.intersection(items) else ()
    if not waiting:
        return
    book.tops_up = True
    places = repository.selling_among(session, {key.location_id for key in book.balances})
    for row in waiting:
        line = LineKey(row.owner_id, row.line_no)
        wanted = row.quantity - book.served.get(line, 0)
        for key, quantity in _shares(book, row, wanted, places):
            book.move(key, Cause(RESERVE, reason=BACKORDER, source_id=row.owner_id), reserved=quantity)
            book.keep(PromiseKey(*line, key.location_id), row.item_id, quantity)
            book.serve(line, quantity)
            told = {"line_no": row.line_no, "item_id": str(row.item_id), "location_id": str(key.location_id)}
            book.told.setdefault(row.owner_id, []).append(told | {"quantity": quantity})


def write(session: Session, book: Book) -> None:
    """Write a book, after those who wait have been given what has become available, and tell the world."""
    serve(session, book, book.risen())
    repository.write(session, book)
    news = [(owner_id, {"lines": lines}) for owner_id, lines in book.told.items()]
    events.record_all(session, "order.backorder_filled", news, by=book.by)
    _tell_crossings(session, book)


def _shares(book: Book, row: AnyRow, wanted: int, places: Iterable[UUID]) -> list[tuple[LevelKey, int]]:
    shares = []
    for place in places:
        key = LevelKey(row.item_id, place)
        quantity = min(wanted, book.available(key)) if row.location_id in {None, place} else 0
        if quantity > 0:
            shares.append((key, quantity))
            wanted -= quantity
    return shares


def _tell_crossings(session: Session, book: Book) -> None:
    """Say which levels have become low or are so no more."""
    for key, balance in book.crossings():
        data = {
            "item_id": str(key.item_id),
            "location_id": str(key.location_id),
            "available": balance.available,
            "reorder_point": balance.reorder_point,
        }
        events.record(session, "stock.low" if balance.is_low else "stock.replenished", key.item_id, data, by=book.by)
