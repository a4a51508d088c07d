"""Shops that somebody could have picked instead, from npm as they are downloaded: how fast do they place an order?"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench.load import Run
from bench.peers import medusa, vendure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from api.embedded import Postgres
    from bench.peers.shop import Shop

SHOPS: Mapping[str, Callable[..., object]] = {"medusa": medusa.serving, "vendure": vendure.serving}
CACHE = Path.home() / ".cache" / "stockroom-bench"
"""Where they are installed once, and found the next time."""

LEAST_SECONDS = 15
"""They place a few orders a second; fewer seconds would tell little."""

PATIENCE_SECONDS = 60.0
ITEMS = 1_000
"""Of its catalogue, which takes them longer to make than an order depends on it."""


def opened(name: str, running: ExitStack, *, directory: Path, database: Postgres, redis_url: str, workers: int) -> Shop:
    """Install and start a shop with a catalogue of its own on the same database server."""
    database.create_database(name)
    logs = directory / name
    logs.mkdir()
    serving = SHOPS[name](
        logs, cache=CACHE, database_url=database.url(name), redis_url=redis_url, workers=workers, items=ITEMS
    )
    shop: Shop = running.enter_context(serving)  # type: ignore[arg-type]  # each has its own module, all the same shape
    return shop


@dataclass(slots=True)
class Sales:
    """What one buyer after the other got, in milliseconds, and what they did not get."""

    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


def drive(shop: Shop, *, connections: int, seconds: int) -> Run:
    """Let so many buyers order one after the other for so long; every order that was begun is waited for."""
    sales, started = Sales(), time.monotonic()
    with ThreadPoolExecutor(connections) as buyers:
        for _ in range(connections):
            buyers.submit(_buy_until, started + max(seconds, LEAST_SECONDS), shop, sales)
    took, found = time.monotonic() - started, sorted(sales.milliseconds) or [0.0]
    p50, p90, p99 = (found[len(found) * share // 100] for share in (50, 90, 99))
    return Run(len(sales.milliseconds), took, 0, sales.refused, sales.broken, p50, p90, p99, found[-1])


def _buy_until(end: float, shop: Shop, sales: Sales) -> None:
    chance = random.Random()  # which items, no secret
    with httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False) as client:
        while (began := time.monotonic()) < end:
            try:
                shop.buy(client, chance)
            except httpx.HTTPStatusError:
                sales.refused += 1
            except httpx.TransportError:
                sales.broken += 1
            else:
                sales.milliseconds.append((time.monotonic() - began) * 1000)
