"""Exact money: unit prices up to four decimal places, totals rounded once to the currency's own."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

type Money = Decimal

NOTHING = Decimal()
UNIT_PRICE_PLACES = 4
UNIT_PRICE_QUANTUM = Decimal(1).scaleb(-UNIT_PRICE_PLACES)
UNIT_PRICE_LIMIT = Decimal(10_000_000_000)
"""A unit price is below this; with four places it fills NUMERIC(14, 4)."""


def total(amounts: Iterable[Money], *, places: int) -> Money:
    """Add exact amounts and round the sum once, half to even, to `places` decimal places."""
    return sum(amounts, Decimal()).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def share(value: Money, part: int, whole: int) -> Money:
    """Tell what `part` of `whole` units are worth that are worth `value` together: to four places, half to even.

    The whole is worth all of it, so that nothing is left over when the last unit goes.
    """
    if part == whole:
        return value
    with localcontext(prec=60):
        return (value * part / whole).quantize(UNIT_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)


def render(amount: Money, *, places: int) -> str:
    """Write an amount in plain digits with at least `places` decimal places and no needless zeros beyond them."""
    return _render(amount, places) if amount else _render(NOTHING, places)  # there is a zero below zero, too


@lru_cache(maxsize=16_384)
def _render(amount: Money, places: int) -> str:
    exponent = amount.normalize().as_tuple().exponent
    shown = max(places, -exponent if isinstance(exponent, int) else 0)
    return f"{amount:.{shown}f}"
