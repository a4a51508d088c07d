"""A shop that somebody could have picked instead, started as it is downloaded, and how an order is placed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    import httpx


@dataclass(frozen=True, slots=True)
class Shop:
    """A running shop with its catalogue filled."""

    version: str
    pid: int
    """The process whose children, with itself, do all the work but the database's."""

    buy: Callable[[httpx.Client, Random], None]
    """Places one order of three lines, one unit each, of three different items drawn at random.

    Raises:
        httpx.HTTPStatusError: a request was refused.

    """

    placed: Callable[[], int]
    """Counts the orders that its database has."""
