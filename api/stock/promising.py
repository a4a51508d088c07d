"""Which location keeps which part of a promise: decided in memory on locked levels. Knows no database."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from api.stock.booking import Cause, LevelKey, LineKey, PromiseKey, Waiting
from api.stock.errors import Shortage
from api.stock.models import RESERVE
from api.stock.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from api.stock.booking import Book

DEFAULT_POLICY = "single_location"


@dataclass(frozen=True, slots=True)
class Demand:
    """What one line of a promise asks for; lines count from 1. One that may wait is a backorder until units come.

    `at` is where the line stands in a request, from 0, if that is not what its number says.
    """

    line_no: int
    item_id: UUID
    quantity: int
    may_wait: bool = False
    sku: str | None = None
    at: int | None = None


@dataclass(frozen=True)
class Promise:
    """Everything one order or reservation asks for at one moment; no moment means now, no end means for good.

    A location named is the only one that is asked.
    """

    owner_id: UUID
    demands: Sequence[Demand]
    occurred_at: datetime | None = None
    expires_at: datetime | None = None
    location_id: UUID | None = None
    policy: str = DEFAULT_POLICY

    @cached_property
    def totals(self) -> Mapping[UUID, int]:
        """What is asked for of each item, added up."""
        totals: dict[UUID, int] = defaultdict(int)
        for demand in self.demands:
            totals[demand.item_id] += demand.quantity
        return dict(totals)

    def among(self, places: Sequence[UUID]) -> Sequence[UUID]:
        """Choose the locations that may be asked."""
        return places if self.location_id is None else [place for place in places if place == self.location_id]


def shortages(book: Book, promise: Promise, places: Sequence[UUID], *, that_may_wait: bool = False) -> list[Shortage]:
    """Name the items of which less is available than is asked for, those that may wait only if asked for."""
    short = []
    among = set(promise.among(places))
    waits = {demand.item_id for demand in promise.demands if demand.may_wait}
    for item_id, wanted in promise.totals.items():
        available = sum(_shelves(book, item_id, among).values())
        if wanted > available and (that_may_wait or item_id not in waits):
            first = next(demand for demand in promise.demands if demand.item_id == item_id)
            line = first.line_no - 1 if first.at is None else first.at
            short.append(Shortage(item_id, requested=wanted, available=available, line=line, sku=first.sku))
    return sorted(short, key=lambda shortage: shortage.line)


def keep(book: Book, promise: Promise, places: Sequence[UUID]) -> None:
    """Book one promise: what is available is kept where the policy says, the rest waits. Nothing else is short."""
    places = promise.among(places)
    among, totals = set(places), {}
    shelf: dict[UUID, dict[UUID, int]] = {place: {} for place in places}
    for item_id, wanted in promise.totals.items():
        there = _shelves(book, item_id, among)
        if there:
            totals[item_id] = min(wanted, sum(there.values()))
        for place, units in there.items():
            shelf[place][item_id] = units
    shares = POLICIES[promise.policy](totals, places, shelf) if totals else {}
    cause = Cause(RESERVE, source_id=promise.owner_id, occurred_at=promise.occurred_at)
    for key, quantity in sorted(shares.items()):
        book.move(LevelKey(*key), cause, reserved=quantity)
    _hand_out(book, promise, places, shares)


def _hand_out(book: Book, promise: Promise, places: Sequence[UUID], shares: Mapping[tuple[UUID, UUID], int]) -> None:
    """Give each line its part of what is kept, from the first places first; what is missing waits."""
    rank = {place: number for number, place in enumerate(places)}
    left: dict[UUID, list[tuple[UUID, int]]] = defaultdict(list)
    for (item_id, place), quantity in sorted(shares.items(), key=lambda share: rank[share[0][1]], reverse=True):
        left[item_id].append((place, quantity))
    for demand in promise.demands:
        wanted, kept_for_item = demand.quantity, left[demand.item_id]
        while wanted and kept_for_item:
            place, there = kept_for_item.pop()
            quantity = min(wanted, there)
            key = PromiseKey(promise.owner_id, demand.line_no, place)
            book.keep(key, demand.item_id, quantity, until=promise.expires_at)
            wanted -= quantity
            if there > quantity:
                kept_for_item.append((place, there - quantity))
        if wanted:
            waiting = Waiting(demand.item_id, promise.location_id, wanted)
            book.waiting[LineKey(promise.owner_id, demand.line_no)] = waiting


def _shelves(book: Book, item_id: UUID, among: Container[UUID]) -> dict[UUID, int]:
    """Tell how many units of an item each of some places has."""
    return {place: units for place, units in book.available_by_location(item_id).items() if place in among}
