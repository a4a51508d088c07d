"""Which location serves what: decided in memory on locked levels. No database here."""

from __future__ import annotations

from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.caller import Caller
from api.stock.booking import Balance, Book, LevelKey
from api.stock.policies import POLICIES
from api.stock.promising import Demand, Promise, keep, shortages

ITEMS = [UUID(int=number) for number in range(1, 4)]
PLACES = [UUID(int=number) for number in range(101, 105)]
"""In the order of their priority."""

OWNER = UUID(int=999)

type Shelves = dict[UUID, list[int]]
"""How much of each item is available at each of `PLACES`."""

type Shares = dict[tuple[int, int], int]
"""How much of which item comes from which location, both by their number from 0."""


def book(shelves: Shelves) -> Book:
    """Lay out shelves; one unit more lies on each, and is promised to somebody else."""
    balances = {
        LevelKey(item, place): Balance(available + 1, 1, version=1)
        for item, row in shelves.items()
        for place, available in zip(PLACES, row, strict=False)
        if available
    }
    return Book(balances, Caller.system())


def shares(shelves: Shelves, wanted: dict[UUID, int]) -> Shares:
    """Divide, and name items and places by their numbers from 0."""
    shelf = {
        place: {item: dict(enumerate(row)).get(number, 0) for item, row in shelves.items()}
        for number, place in enumerate(PLACES)
    }
    divided = POLICIES["single_location"](wanted, PLACES, shelf)
    return {(ITEMS.index(item), PLACES.index(place)): share for (item, place), share in divided.items()}


@pytest.mark.parametrize(
    ("shelves", "wanted", "expected"),
    [
        pytest.param([[5, 5]], [5], {(0, 0): 5}, id="the first in priority serves when it can"),
        pytest.param([[4, 5]], [5], {(0, 1): 5}, id="one that can serve alone beats the first that cannot"),
        pytest.param([[9, 5], [0, 5]], [5, 5], {(0, 1): 5, (1, 1): 5}, id="one for the whole order beats one per item"),
        pytest.param([[9, 0], [0, 5]], [5, 5], {(0, 0): 5, (1, 1): 5}, id="failing that, each item whole from one"),
        pytest.param([[3, 4]], [5], {(0, 1): 4, (0, 0): 1}, id="failing that, split"),
        pytest.param([[3, 5, 6]], [11], {(0, 2): 6, (0, 1): 5}, id="over as few as possible"),
        pytest.param([[4, 4, 4]], [8], {(0, 0): 4, (0, 1): 4}, id="among equals by priority"),
    ],
)
def test_locations_are_chosen(
    shelves: list[list[int]], wanted: list[int], expected: dict[tuple[int, int], int]
) -> None:
    assert shares(dict(zip(ITEMS, shelves, strict=False)), dict(zip(ITEMS, wanted, strict=False))) == expected


some_shelves = st.dictionaries(
    st.sampled_from(ITEMS), st.lists(st.integers(0, 9), min_size=len(PLACES), max_size=len(PLACES)), min_size=1
)


@st.composite
def servable(draw: st.DrawFn) -> tuple[Shelves, dict[UUID, int]]:
    """Draw shelves and an order that they can serve."""
    shelves = draw(some_shelves.filter(lambda shelves: all(any(row) for row in shelves.values())))
    return shelves, {item: draw(st.integers(1, sum(row))) for item, row in shelves.items()}


@given(servable())
def test_shares_add_up_and_never_exceed_what_is_available(case: tuple[Shelves, dict[UUID, int]]) -> None:
    shelves, wanted = case

    divided = shares(shelves, wanted)

    for number, item in enumerate(ITEMS):
        assert sum(share for (of, _), share in divided.items() if of == number) == wanted.get(item, 0)
    assert all(0 < share <= shelves[ITEMS[number]][place] for (number, place), share in divided.items())


@given(servable())
def test_a_single_location_serves_whenever_one_can(case: tuple[Shelves, dict[UUID, int]]) -> None:
    shelves, wanted = case

    divided = shares(shelves, wanted)

    able = [
        place
        for place in range(len(PLACES))
        if all(shelves[item][place] >= quantity for item, quantity in wanted.items())
    ]
    assert not able or {place for _, place in divided} == {able[0]}


@given(servable())
def test_no_item_comes_from_more_locations_than_it_must(case: tuple[Shelves, dict[UUID, int]]) -> None:
    shelves, wanted = case

    divided = shares(shelves, wanted)

    for item, quantity in wanted.items():
        used = sum(of == ITEMS.index(item) for of, _ in divided)
        fewer = combinations(shelves[item], used - 1)
        assert not any(sum(some) >= quantity for some in fewer)


@given(some_shelves, st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(1, 12)), min_size=1, max_size=6))
def test_an_order_is_booked_line_by_line_or_refused_whole(shelves: Shelves, lines: list[tuple[UUID, int]]) -> None:
    ours, before = book(shelves), book(shelves).balances
    demands = [Demand(number, item, quantity) for number, (item, quantity) in enumerate(lines, start=1)]
    totals = {item: sum(quantity for of, quantity in lines if of == item) for item, _ in lines}
    short = {item for item, total in totals.items() if total > sum(shelves.get(item, [0]))}

    found = shortages(ours, Promise(OWNER, demands), PLACES)

    assert {shortage.item_id for shortage in found} == short
    if short:
        return

    keep(ours, Promise(OWNER, demands), PLACES)

    for number, (item, quantity) in enumerate(lines, start=1):
        kept = [one for key, one in ours.kept.items() if key.line_no == number]
        assert {one.item_id for one in kept} == {item}
        assert sum(one.quantity for one in kept) == quantity
    for key, balance in ours.balances.items():
        assert 0 <= balance.reserved <= balance.on_hand == before[key].on_hand


@given(some_shelves, st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(1, 12)), min_size=1, max_size=6))
def test_what_may_wait_is_kept_as_far_as_it_goes(shelves: Shelves, lines: list[tuple[UUID, int]]) -> None:
    ours = book(shelves)
    demands = [Demand(number, item, quantity, may_wait=True) for number, (item, quantity) in enumerate(lines, start=1)]
    promise = Promise(OWNER, demands)

    found = shortages(ours, promise, PLACES)
    keep(ours, promise, PLACES)

    assert found == []
    for number, (item, quantity) in enumerate(lines, start=1):
        kept = sum(one.quantity for key, one in ours.kept.items() if key.line_no == number)
        waiting = [one for key, one in ours.waiting.items() if key.line_no == number]
        assert all(one.item_id == item for one in waiting)
        assert kept + sum(one.quantity for one in waiting) == quantity
    for item, total in promise.totals.items():
        kept = sum(one.quantity for one in ours.kept.values() if one.item_id == item)
        assert kept == min(total, sum(shelves.get(item, [0])))


def test_a_level_that_is_locked_later_counts_too() -> None:
    known = book({ITEMS[0]: [3]})

    assert known.available_by_location(ITEMS[0]) == {PLACES[0]: 3}
    known.balances[LevelKey(ITEMS[0], PLACES[1])] = Balance(5, 1, version=1)
    assert known.available_by_location(ITEMS[0]) == {PLACES[0]: 3, PLACES[1]: 4}
