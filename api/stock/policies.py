"""How locations are chosen that serve an order: named policies. Knows no database.

A policy is a function of what is wanted of each item, the locations in the order of their priority, and what is
available there. It is called only with totals that all locations together can serve, and tells how many units of which
item come from where: shares above zero that add up to the totals. To add one, write the function and name it in
`POLICIES`; the setting ALLOCATION_POLICY and the field `allocation_policy` of a new order name it then.
"""

from __future__ import annotations

from itertools import accumulate, chain, combinations, islice
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
    if place := _first_with(totals, places, shelf):
        return {(item, place): wanted for item, wanted in totals.items()}
    shares: Shares = {}
    for item, wanted in totals.items():
        whole = next((place for place in places if shelf[place].get(item, 0) >= wanted), None)
        if whole:
            shares[item, whole] = wanted
        else:
            _fill(shares, item, wanted, sorted(places, key=lambda place: -shelf[place].get(item, 0)), shelf)
    return shares


def fewest_parcels(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> Shares:
    """Take the order from as few locations as possible, and among those sets from the first in priority.

    Where there are too many sets to try them all, the location that has most of what is missing is added until nothing
    is, and those that turn out to be needless are left out.
    """
    if place := _first_with(totals, places, shelf):
        return {(item, place): wanted for item, wanted in totals.items()}
    chosen = _indispensable(totals, places, shelf)
    missing = _missing(totals, chosen, shelf)
    others = [place for place in places if place not in chosen and any(shelf[place].get(item) for item in missing)]
    chosen |= _smallest_set(missing, others, shelf) or _greedy_set(missing, others, shelf)
    return by_priority(totals, [place for place in places if place in chosen], shelf)


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


def _first_with(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> UUID | None:
    for place in places:
        there = shelf[place]
        if all(there.get(item, 0) >= wanted for item, wanted in totals.items()):
            return place
    return None


def _fill(shares: Shares, item: UUID, wanted: int, places: Iterable[UUID], shelf: Shelf) -> None:
    for place in places:
        if share := min(wanted, shelf[place].get(item, 0)):
            shares[item, place] = share
            wanted -= share
        if not wanted:
            return


def _indispensable(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> set[UUID]:
    """Find the locations without which the others have too little of something."""
    spare = {item: sum(shelf[place].get(item, 0) for place in places) - wanted for item, wanted in totals.items()}
    return {place for place in places if any(shelf[place].get(item, 0) > units for item, units in spare.items())}


def _missing(totals: Totals, places: Iterable[UUID], shelf: Shelf) -> dict[UUID, int]:
    """Tell what is still wanted of each item when these locations have given what they have."""
    left = {item: wanted - sum(shelf[place].get(item, 0) for place in places) for item, wanted in totals.items()}
    return {item: wanted for item, wanted in left.items() if wanted > 0}


def _smallest_set(missing: Totals, places: Sequence[UUID], shelf: Shelf) -> set[UUID] | None:
    """Find the smallest set of locations that has everything, trying sets in the order of priority.

    No set is smaller than the one its most scattered item needs. The item that failed the last set is checked first.
    """
    rows = [(wanted, [shelf[place].get(item, 0) for place in places]) for item, wanted in missing.items()]
    smallest = max((_fewest(wanted, row) for wanted, row in rows), default=0)
    sizes = range(smallest, len(places) + 1)
    candidates = chain.from_iterable(combinations(range(len(places)), size) for size in sizes)
    for some in islice(candidates, MOST_COMBINATIONS):
        lacking = next((at for at, (wanted, row) in enumerate(rows) if sum([row[n] for n in some]) < wanted), None)
        if lacking is None:
            return {places[n] for n in some}
        rows.insert(0, rows.pop(lacking))
    return None


def _fewest(wanted: int, row: Iterable[int]) -> int:
    """Count the locations that one item needs, the fullest first."""
    reached = accumulate(sorted(row, reverse=True))
    return next(count for count, units in enumerate(reached, start=1) if units >= wanted)


def _greedy_set(totals: Totals, places: Sequence[UUID], shelf: Shelf) -> set[UUID]:
    missing = dict(totals)
    chosen: list[UUID] = []
    while missing:
        best = max(
            (place for place in places if place not in chosen),
            key=lambda place: sum([min(shelf[place].get(item, 0), wanted) for item, wanted in missing.items()]),
        )
        chosen.append(best)
        missing = _missing(missing, [best], shelf)
    needed = set(chosen)
    for place in chosen:
        if not _missing(totals, needed - {place}, shelf):
            needed.remove(place)
    return needed
