"""Which location keeps which part of a promise: decided in memory on locked levels. Knows no database."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.stock.booking import Cause, LevelKey, PromiseKey
from api.stock.errors import InsufficientStock, Shortage
from api.stock.models import RESERVE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from api.stock.booking import Book


@dataclass(frozen=True, slots=True)
class Demand:
    """What one line of a promise asks for; lines count from 1."""

    line_no: int
    item_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Promise:
    """Everything one order asks for at one moment; no moment means now."""

    owner_id: UUID
    demands: Sequence[Demand]
    occurred_at: datetime | None = None


def keep(book: Book, promise: Promise, places: Sequence[UUID]) -> None:
    """Book one promise, or raise with every shortage before anything of it is booked."""
    totals: dict[UUID, int] = defaultdict(int)
    for demand in promise.demands:
        totals[demand.item_id] += demand.quantity
    _check_shortages(book, promise, totals, places)
    cause = Cause(RESERVE, source_id=promise.owner_id, occurred_at=promise.occurred_at)
    shares = divide(book, totals, places)
    for key, quantity in sorted(shares.items()):
        book.move(key, cause, reserved=quantity)
    for demand in promise.demands:
        wanted = demand.quantity
        for place in places:
            key = LevelKey(demand.item_id, place)
            quantity = min(wanted, shares.get(key, 0))
            if quantity:
                book.kept[PromiseKey(promise.owner_id, demand.line_no, place)] = (demand.item_id, quantity)
                shares[key] -= quantity
                wanted -= quantity


def _check_shortages(book: Book, promise: Promise, totals: Mapping[UUID, int], places: Collection[UUID]) -> None:
    shortages = []
    for item_id, wanted in totals.items():
        available = sum(_available(book, item_id, place) for place in places)
        if wanted > available:
            line = next(number for number, demand in enumerate(promise.demands) if demand.item_id == item_id)
            number = promise.demands[line].line_no - 1
            shortages.append(Shortage(item_id, requested=wanted, available=available, line=number))
    if shortages:
        raise InsufficientStock.of(sorted(shortages, key=lambda shortage: shortage.line))


def divide(book: Book, totals: Mapping[UUID, int], places: Sequence[UUID]) -> dict[LevelKey, int]:
    """Divide what is wanted over locations: all from the first that can, else each item from as few as possible."""
    for place in places:
        if all(_available(book, item_id, place) >= wanted for item_id, wanted in totals.items()):
            return {LevelKey(item_id, place): wanted for item_id, wanted in totals.items()}
    shares = {}
    for item_id, wanted in totals.items():
        whole = next((place for place in places if _available(book, item_id, place) >= wanted), None)
        fullest_first = sorted(places, key=lambda place: -_available(book, item_id, place))
        left = wanted
        for place in [whole] if whole else fullest_first:
            share = min(left, _available(book, item_id, place))
            if share:
                shares[LevelKey(item_id, place)] = share
                left -= share
    return shares


def _available(book: Book, item_id: UUID, location_id: UUID) -> int:
    balance = book.balances.get(LevelKey(item_id, location_id))
    return balance.available if balance else 0
