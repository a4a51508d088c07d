"""How locations are chosen that serve an order: named policies. Knows no database.

A policy is a function of what is wanted of each item, the locations in the order of their priority, and what is
available there. It is called only with totals that all locations together can serve, and tells how many units of which
item come from where: shares above zero that add up to the totals. To add one, write the function and name it in
`POLICIES`; the setting ALLOCATION_POLICY and the field `allocation_policy` of a new order name it then.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

type Totals = Mapping[UUID, int]
"""Units wanted, by item."""

type Shelf = Mapping[UUID, Mapping[UUID, int]]
"""Units available, by location and item."""

type Shares = dict[tuple[UUID, UUID], int]
"""Units taken, by item and location."""

type Policy = Callable[[Totals, Sequence[UUID], Shelf], Shares]

MOST_COMBINATIONS = 2_000
"""So many sets of locations are tried before good is good enough."""


def single_location(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> Shares:
    """Take everything from the first location that has it, else each item from as few as possible."""
    for place in places:
        there = shelf[place]
        if all(there.get(item, 0) >= wanted for item, wanted in totals.items()):
            return {(item, place): wanted for item, wanted in totals.items()}
    shares: Shares = {}
    for item, wanted in totals.items():
        whole = next((place for place in places if shelf[place].get(item, 0) >= wanted), None)
        fullest_first = sorted(places, key=lambda place: -shelf[place].get(item, 0))
        _fill(shares, item, wanted, [whole] if whole else fullest_first, shelf)
    return shares


def fewest_parcels(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> Shares:
    """Take the order from as few locations as possible, and among those sets from the first in priority.

    Where there are too many sets to try them all, the location that has most of what is missing is added until nothing
    is.
    """
    useful = [place for place in places if any(shelf[place].get(item) for item in totals)]
    return by_priority(totals, _smallest_set(totals, useful, shelf) or _greedy_set(totals, useful, shelf), shelf)


def by_priority(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> Shares:
    """Take each item from the first location as far as it reaches, then from the next: the nearest first."""
    shares: Shares = {}
    for item, wanted in totals.items():
        _fill(shares, item, wanted, places, shelf)
    return shares


POLICIES: dict[str, Policy] = {
    "single_location": single_location,
    "fewest_parcels": fewest_parcels,
    "by_priority": by_priority,
}


def _fill(shares: Shares, item: UUID, wanted: int, places: Iterable[UUID], shelf: Shelf) -> None:
    for place in places:
        share = min(wanted, shelf[place].get(item, 0))
        if share:
            shares[item, place] = share
            wanted -= share


def _smallest_set(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> Sequence[UUID] | None:
    """Find the smallest set of locations that has everything, trying sets in the order of priority."""
    left = MOST_COMBINATIONS
    for size in range(1, len(places) + 1):
        left -= comb(len(places), size)
        if left < 0:
            return None
        for some in combinations(places, size):
            if all(sum(shelf[place].get(item, 0) for place in some) >= wanted for item, wanted in totals.items()):
                return some
    return None


def _greedy_set(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> list[UUID]:
    missing, chosen = dict(totals), set(places[:0])
    while any(missing.values()):
        best = max(
            (place for place in places if place not in chosen),
            key=lambda place: sum(min(shelf[place].get(item, 0), wanted) for item, wanted in missing.items()),
        )
        chosen.add(best)
        missing = {item: max(wanted - shelf[best].get(item, 0), 0) for item, wanted in missing.items()}
    return [place for place in places if place in chosen]
