"""How locations are chosen that serve an order. No database here."""

from __future__ import annotations

from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.config import Settings
from api.orders import schemas
from api.stock import policies
from api.stock.policies import POLICIES

ITEMS = [UUID(int=number) for number in range(1, 4)]
PLACES = [UUID(int=number) for number in range(101, 107)]
"""In the order of their priority."""

type Shelf = dict[UUID, dict[UUID, int]]


@st.composite
def servable(draw: st.DrawFn) -> tuple[dict[UUID, int], Shelf]:
    """Draw shelves and an order that they can serve together."""
    shelf = {place: {item: draw(st.integers(0, 6)) for item in ITEMS} for place in PLACES}
    there = {item: sum(row[item] for row in shelf.values()) for item in ITEMS}
    return {item: draw(st.integers(1, units)) for item, units in there.items() if units}, shelf


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(case=servable())
def test_every_policy_takes_exactly_what_is_wanted_of_what_is_there(
    name: str, case: tuple[dict[UUID, int], Shelf]
) -> None:
    totals, shelf = case

    shares = POLICIES[name](totals, PLACES, shelf)

    assert all(0 < units <= shelf[place][item] for (item, place), units in shares.items())
    for item, wanted in totals.items():
        assert sum(units for (of, _), units in shares.items() if of == item) == wanted


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
        if all(sum(shelf[place][item] for place in some) >= wanted for item, wanted in totals.items())
    )
    assert used == next(able)


def test_too_many_sets_of_locations_are_not_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [UUID(int=number) for number in range(60)]
    shelf = {place: {ITEMS[0]: 1 + number % 3} for number, place in enumerate(places)}
    tried = 0

    def counted(*args: object) -> object:
        nonlocal tried
        for some in combinations(*args):  # type: ignore[call-overload]  # as it is called
            tried += 1
            yield some

    monkeypatch.setattr(policies, "combinations", counted)

    shares = POLICIES["fewest_parcels"]({ITEMS[0]: 58}, places, shelf)

    assert tried <= policies.MOST_COMBINATIONS
    assert (sum(shares.values()), len(shares)) == (58, 20)


@given(servable())
def test_by_priority_nothing_comes_from_farther_while_there_is_some_nearer(
    case: tuple[dict[UUID, int], Shelf],
) -> None:
    totals, shelf = case

    shares = POLICIES["by_priority"](totals, PLACES, shelf)

    for item, place in shares:
        nearer = PLACES[: PLACES.index(place)]
        assert all(shares.get((item, near), 0) == shelf[near][item] for near in nearer)


def test_the_setting_and_the_field_of_an_order_name_all_of_them() -> None:
    setting = Settings.model_fields["allocation_policy"]

    assert list(POLICIES) == schemas.POLICIES == list(setting.annotation.__args__)  # type: ignore[union-attr]  # a Literal
    assert setting.default == next(iter(POLICIES))
