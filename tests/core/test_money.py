"""Money is exact, and rounded once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core import money

AMOUNTS = st.lists(st.decimals(0, 10**6, places=4), max_size=50)


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        ([], "0.00"),
        (["0.005"], "0.00"),
        (["0.015"], "0.02"),
        (["0.0050", "0.0001"], "0.01"),
        (["0.001"] * 14, "0.01"),
        (["0.001"] * 15, "0.02"),
        (["0.1", "0.2"], "0.30"),
    ],
)
def test_a_total_is_rounded_once_and_half_to_even(amounts: list[str], total: str) -> None:
    assert str(money.total(map(Decimal, amounts), places=2)) == total


@given(AMOUNTS)
def test_a_total_differs_from_the_exact_sum_by_half_a_penny_at_most(amounts: list[Decimal]) -> None:
    assert abs(money.total(amounts, places=2) - sum(amounts)) <= Decimal("0.005")


@given(AMOUNTS, st.randoms())
def test_a_total_does_not_depend_on_the_order(amounts: list[Decimal], random: object) -> None:
    shuffled = sorted(amounts, key=lambda _: random.random())  # type: ignore[attr-defined]  # it is a Random

    assert money.total(shuffled, places=2) == money.total(amounts, places=2)


@pytest.mark.parametrize(
    ("amount", "places", "shown"),
    [
        ("2.5", 2, "2.50"),
        ("2.5500", 2, "2.55"),
        ("0.0010", 2, "0.001"),
        ("1000000", 2, "1000000.00"),
        ("1E+3", 2, "1000.00"),
        ("0", 0, "0"),
        ("0.0000", 2, "0.00"),
        ("100", 0, "100"),
        ("9999999999.9999", 2, "9999999999.9999"),
    ],
)
def test_an_amount_is_shown_in_plain_digits(amount: str, places: int, shown: str) -> None:
    assert money.render(Decimal(amount), places=places) == shown


@given(st.decimals(0, 10**9, places=4), st.integers(0, 4))
def test_what_is_shown_is_what_is_kept(amount: Decimal, places: int) -> None:
    assert Decimal(money.render(amount, places=places)) == amount


def test_nothing_has_no_sign() -> None:
    money._render.cache_clear()  # noqa: SLF001  # whichever zero comes first speaks for all
    assert [money.render(Decimal(zero), places=2) for zero in ("-0.00", "0", "-0", "0.0000")] == ["0.00"] * 4
