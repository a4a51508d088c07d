"""How locations are chosen that serve an order. No database here."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.config import Settings
from api.orders import schemas
from api.stock import policies
from api.stock.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ITEMS = [UUID(int=number) for number in range(1, 4)]
PLACES = [UUID(int=number) for number in range(101, 107)]
"""In the order of their priority."""

type Shelf = dict[UUID, dict[UUID, int]]


@st.composite
def servable(draw: st.DrawFn) -> tuple[dict[UUID, int], Shelf]:
    """Draw shelves and an order that they can serve together; what a location does not have may be left out."""
    units = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 6))
    shelf = {place: draw(units) for place in PLACES}
    there = {item: sum(row.get(item, 0) for row in shelf.values()) for item in ITEMS}
    return {item: draw(st.integers(1, units)) for item, units in there.items() if units}, shelf


def serves(some: Iterable[UUID], totals: dict[UUID, int], shelf: Shelf) -> bool:
    return all(sum(shelf[place].get(item, 0) for place in some) >= wanted for item, wanted in totals.items())


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Note each set of locations that is tried."""
    sets: list[tuple[int, ...]] = []

    def noted(numbers: range, size: int) -> Iterator[tuple[int, ...]]:
        for some in combinations(numbers, size):
            sets.append(some)
            yield some

    monkeypatch.setattr(policies, "combinations", noted)
    return sets


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(case=servable())
def test_every_policy_takes_exactly_what_is_wanted_of_what_is_there(
    name: str, case: tuple[dict[UUID, int], Shelf]
) -> None:
    totals, shelf = case

    shares = POLICIES[name](totals, PLACES, shelf)

    assert all(0 < units <= shelf[place].get(item, 0) for (item, place), units in shares.items())
    for item, wanted in totals.items():
        assert sum(units for (of, _), units in shares.items() if of == item) == wanted


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(case=servable())
def test_the_order_of_lines_and_of_shelves_changes_nothing(name: str, case: tuple[dict[UUID, int], Shelf]) -> None:
    totals, shelf = case

    again = POLICIES[name](dict(reversed(totals.items())), PLACES, dict(reversed(shelf.items())))

    assert again == POLICIES[name](totals, PLACES, shelf)


@given(servable())
def test_a_single_location_serves_all_or_else_each_item_or_else_the_fullest_do(
    case: tuple[dict[UUID, int], Shelf],
) -> None:
    totals, shelf = case
    able = [place for place in PLACES if serves([place], totals, shelf)]
    expected = {(item, able[0]): wanted for item, wanted in totals.items()} if able else {}
    for item, wanted in () if able else totals.items():
        whole = [place for place in PLACES if shelf[place].get(item, 0) >= wanted][:1]
        left = wanted
        for place in whole or sorted(PLACES, key=lambda place: (-shelf[place].get(item, 0), PLACES.index(place))):
            share = min(left, shelf[place].get(item, 0))
            expected |= {(item, place): share} if share else {}
            left -= share

    assert POLICIES["single_location"](totals, PLACES, shelf) == expected


@given(servable())
def test_the_fewest_parcels_are_as_few_as_there_can_be_and_from_the_first_in_priority(
    case: tuple[dict[UUID, int], Shelf],
) -> None:
    totals, shelf = case

    used = {place for _, place in POLICIES["fewest_parcels"](totals, PLACES, shelf)}

    able = (
        set(some)
        for size in range(len(PLACES) + 1)
        for some in combinations(PLACES, size)
        if serves(some, totals, shelf)
    )
    assert used == next(able)


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("single_location", 2, [0]),
        ("single_location", 7, [3, 4]),
        ("fewest_parcels", 6, [0, 3]),
        ("by_priority", 6, [0, 1, 2]),
    ],
    ids=["single_location, whole", "single_location, split", "fewest_parcels", "by_priority"],
)
def test_among_equals_the_first_in_priority_serves(name: str, wanted: int, expected: list[int]) -> None:
    item = ITEMS[0]
    shelf = {place: {item: units} for place, units in zip(PLACES, [2, 2, 3, 4, 4, 0], strict=True)}

    shares = POLICIES[name]({item: wanted}, PLACES, shelf)

    assert [PLACES.index(place) for _, place in shares] == expected


def test_ten_locations_are_few_enough_to_try_every_set(tried: list[tuple[int, ...]]) -> None:
    # Every item lies in two neighbours of a ring: each second location is enough, and none is more useful than another.
    places = [UUID(int=number) for number in range(10)]
    ring = [UUID(int=100 + number) for number in range(10)]
    shelf = {place: {ring[number]: 1, ring[number - 1]: 1} for number, place in enumerate(places)}

    shares = POLICIES["fewest_parcels"](dict.fromkeys(ring, 1), places, shelf)

    assert {place for _, place in shares} == set(places[::2])
    assert len(tried) > sum(comb(10, size) for size in range(1, 5))


def test_a_thousand_items_at_fifty_locations_try_no_more_sets_than_is_allowed(tried: list[tuple[int, ...]]) -> None:
    items = [UUID(int=1000 + number) for number in range(1000)]
    places = [UUID(int=number) for number in range(50)]
    shelf = {place: {item: (of * 7 + at * 3) % 5 for of, item in enumerate(items)} for at, place in enumerate(places)}
    totals = dict.fromkeys(items, 15)

    shares = POLICIES["fewest_parcels"](totals, places, shelf)

    assert len(tried) == policies.MOST_COMBINATIONS
    assert sum(shares.values()) == 15 * len(items)
    used = {place for _, place in shares}
    assert not any(serves(used - {place}, totals, shelf) for place in used)


@given(servable())
def test_where_not_every_set_is_tried_no_location_could_be_left_out(case: tuple[dict[UUID, int], Shelf]) -> None:
    totals, shelf = case

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "MOST_COMBINATIONS", 0)
        shares = POLICIES["fewest_parcels"](totals, PLACES, shelf)

    used = {place for _, place in shares}
    assert not any(serves(used - {place}, totals, shelf) for place in used)
    assert serves(used, totals, shelf)


def test_a_location_that_others_make_needless_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MOST_COMBINATIONS", 0)
    items = [UUID(int=number) for number in range(6)]
    rows = [[0, 1, 2, 3], [0, 1, 4], [0, 1, 4], [2, 3, 5], [2, 3, 5]]
    shelf = {place: {items[of]: 1 for of in row} for place, row in zip(PLACES, rows, strict=False)}

    shares = POLICIES["fewest_parcels"](dict.fromkeys(items, 1), PLACES[:5], shelf)

    assert {place for _, place in shares} == {PLACES[1], PLACES[3]}


def test_no_set_is_tried_that_is_too_small_for_one_of_the_items(tried: list[tuple[int, ...]]) -> None:
    places = [UUID(int=number) for number in range(50)]

    POLICIES["fewest_parcels"]({ITEMS[0]: 25}, places, {place: {ITEMS[0]: 1} for place in places})

    assert tried == [tuple(range(25))]


def test_locations_that_cannot_be_done_without_need_no_trying(tried: list[tuple[int, ...]]) -> None:
    places = [UUID(int=number) for number in range(50)]
    items = [UUID(int=100 + number) for number in range(50)]
    shelf = {place: {item: 1} for place, item in zip(places, items, strict=True)}

    shares = POLICIES["fewest_parcels"](dict.fromkeys(items, 1), places, shelf)

    assert len(shares) == 50
    assert len(tried) <= 1


@given(servable())
def test_by_priority_nothing_comes_from_farther_while_there_is_some_nearer(
    case: tuple[dict[UUID, int], Shelf],
) -> None:
    totals, shelf = case

    shares = POLICIES["by_priority"](totals, PLACES, shelf)

    for item, place in shares:
        nearer = PLACES[: PLACES.index(place)]
        assert all(shares.get((item, near), 0) == shelf[near].get(item, 0) for near in nearer)


def test_the_setting_and_the_field_of_an_order_name_all_of_them() -> None:
    setting = Settings.model_fields["allocation_policy"]

    assert list(POLICIES) == schemas.POLICIES == list(setting.annotation.__args__)  # type: ignore[union-attr]  # a Literal
    assert setting.default == next(iter(POLICIES))
