"""A large installation, asked one question at a time: does an answer cost the same however much there is, and how deep?

uv run --group bench python -m bench scale --items 1000000 --movements 10000000

It starts PostgreSQL and gunicorn of its own, makes a warehouse up (see `bench.warehouse`) and a small one, and asks
both the same over HTTP, in turn. It prints medians. With --keep the data are used again next time.
"""

from __future__ import annotations

import json
import random
import secrets
import statistics
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import httpx
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from api.embedded import Postgres
from api.extensions import db
from api.stock import service as stock
from bench import servers
from bench.servers import EMAIL, PASSWORD
from bench.warehouse import ITEM, PLACE, fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.warehouse import Warehouse

PAST = "2026-01-01T00:00:00Z"
PAGES_DEEP, WARM_UP = 100, 10
"""A deep page is asked for after so many pages of 200 rows."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask, and what the answer must have."""

    name: str
    path: str
    query: dict[str, str]
    is_deep: bool = False
    lines: int = 0
    """Of an order to place, of items drawn at random."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two installations: its questions, by name, and where its deep pages begin."""

    client: httpx.Client
    warehouse: Warehouse
    questions: dict[str, tuple[Question, dict[str, str]]]
    chance: random.Random


MOST_GROWTH = 1.2
"""An answer of the large one takes at most so many times as long."""


def questions(warehouse: Warehouse) -> list[Question]:
    """List what is asked."""
    middle = warehouse.items // 2
    item, hot, place = f"{ITEM}-{middle:012x}", f"{ITEM}-{0:012x}", f"{PLACE}-{1:012x}"
    sku = f"{10000 + middle}{'ABCDEFGH'[middle % 8]}"
    often, rare = warehouse.words[0], warehouse.words[-1]
    items, levels, ledger = "/items", "/stock/levels", "/stock/movements"
    return [
        Question("show an item", f"/items/{item}", {}),
        Question("availability", f"/items/{hot}/availability", {}),
        Question("list items", items, {}),
        Question("list items, deep", items, {}, is_deep=True),
        Question("list items by -unit_price, deep", items, {"sort": "-unit_price"}, is_deep=True),
        Question("list items of a category", items, {"category": "Category 7"}),
        Question("list items with a tag", items, {"tag": "tag7"}),
        Question("find by SKU", items, {"sku": sku}),
        Question("search a frequent word", items, {"q": often}),
        Question("search a rare word", items, {"q": rare}),
        Question("search a beginning", items, {"q": rare[:4]}),
        Question("search a misspelt word", items, {"q": rare[:-1] + "q"}),
        Question("search two words", items, {"q": f"{often} {warehouse.words[1]}"}),
        Question("list levels", levels, {}),
        Question("list levels, deep", levels, {}, is_deep=True),
        Question("list levels of a location, deep", levels, {"location_id": place}, is_deep=True),
        Question("list low levels", levels, {"low": "true"}),
        Question("list levels in the past", levels, {"as_of": PAST}),
        Question("list levels in the past, deep", levels, {"as_of": PAST}, is_deep=True),
        Question("ledger", ledger, {}),
        Question("ledger, deep", ledger, {}, is_deep=True),
        Question("ledger before a date", ledger, {"occurred_before": PAST}),
        Question("ledger of a hot item", ledger, {"item_id": hot}),
        Question("ledger of a location, deep", ledger, {"location_id": place}, is_deep=True),
        Question("ledger of adjustments", ledger, {"kind": "adjustment"}),
        Question("valuation", "/stock/valuation", {}),
        Question("valuation in the past", "/stock/valuation", {"as_of": PAST}),
        Question("verify an item", "/stock/verify", {"item_id": item}),
        Question("place an order of 3 lines", "/orders", {}, lines=3),
    ]


@click.command()
@click.option("--items", default=1_000_000, show_default=True, help="How many items.")
@click.option("--movements", default=10_000_000, show_default=True, help="How many lines the ledger has.")
@click.option("--beside", default=1_000, show_default=True, help="How many items the small warehouse has.")
@click.option("--requests", "count", default=100, show_default=True, help="How often each question is asked.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the data here, for the next time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def scale(items: int, movements: int, beside: int, count: int, keep: Path | None, *, as_json: bool) -> None:
    """Ask a large installation and a small one the same questions, and compare."""
    sizes = {"large": (items, movements), "small": (beside, max(movements * beside // items, beside * 2))}
    with ExitStack() as running:
        directory = Path(
            running.enter_context(TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True))
        )
        options = {"shared_buffers": "2GB", "max_wal_size": "8GB", "fsync": "off"}
        postgres = Postgres.start(keep or directory, options=options)
        running.callback(postgres.stop)
        sides = [running.enter_context(_side(postgres, name, *size, directory)) for name, size in sizes.items()]
        rows = [_row(name, *_medians(name, sides, count)) for name in sides[0].questions]
    if as_json:
        click.echo(json.dumps({"items": items, "movements": movements, "rows": rows}, indent=2))
        return
    table = Table(title=f"{items:,} items and {movements:,} movements beside {beside:,} items; medians at c=1")
    for title in ("question", "large, ms", "small, ms", "ratio"):
        table.add_column(title, justify="left" if title == "question" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    grown = [row["question"] for row in rows if row["ratio"] > MOST_GROWTH]
    console.print(
        f"{len(rows) - len(grown)} of {len(rows)} within {MOST_GROWTH} times; not: {', '.join(grown) or 'none'}."
    )


def _row(question: str, large: float, small: float) -> dict[str, Any]:
    ratio = round(large / small, 2)
    return {"question": question, "large_ms": round(large, 2), "small_ms": round(small, 2), "ratio": ratio}


@contextmanager
def _side(postgres: Postgres, name: str, items: int, movements: int, directory: Path) -> Iterator[Side]:
    database = f"bench_{name}_{items}_{movements}"
    environment = servers.environment(
        postgres.url(database), directory, ALLOW_UNSAFE_DURABILITY="true", **servers.AMPLE_LIMITS
    )
    warehouse = _prepare(postgres, database, environment, items=items, movements=movements)
    with _served(environment) as client:
        asked = {question.name: (question, _cursor(client, question)) for question in questions(warehouse)}
        yield Side(client, warehouse, asked, random.Random(7))


def _prepare(
    postgres: Postgres, database: str, environment: dict[str, str], *, items: int, movements: int
) -> Warehouse:
    postgres.create_database(database)
    app = servers.application(environment)
    servers.migrate(app)
    with psycopg.connect(postgres.url(database)) as connection:
        warehouse = fill(connection, items=items, movements=movements)
    with app.app_context():
        db.session.execute(text("SET LOCAL statement_timeout = 0"))
        stock.close_days(db.session())
        db.session.commit()
        db.engine.dispose()
    return warehouse


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[httpx.Client]:
    with servers.serving(servers.gunicorn("wsgi:app", workers=1), environment) as server:
        headers = {"Authorization": f"Bearer {servers.log_in(server.url, EMAIL, PASSWORD)}"}
        with httpx.Client(base_url=f"{server.url}/api/v1", timeout=60, trust_env=False, headers=headers) as client:
            yield client


def _cursor(client: httpx.Client, question: Question) -> dict[str, str]:
    """Walk to where a deep page begins."""
    query = dict(question.query)
    if not question.is_deep:
        return query
    for _ in range(PAGES_DEEP):
        page = _ask(client, question.path, query | {"limit": "200"})
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    return query


def _medians(name: str, sides: Sequence[Side], count: int) -> Iterator[float]:
    """Ask both so often, in turn, after a few times that do not count; milliseconds."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(WARM_UP + count):
        for side, taken in zip(sides, times, strict=True):
            question, query = side.questions[name]
            send = (
                partial(_place, side, question) if question.lines else partial(_ask, side.client, question.path, query)
            )
            started = time.perf_counter()
            send()
            if number >= WARM_UP:
                taken.append((time.perf_counter() - started) * 1000)
    return map(statistics.median, times)


def _place(side: Side, question: Question) -> None:
    numbers = side.chance.sample(range(side.warehouse.items), question.lines)
    order = {"lines": [{"item_id": f"{ITEM}-{number:012x}", "quantity": 1} for number in numbers]}
    key = {"Idempotency-Key": secrets.token_hex(12)}
    response = side.client.post(question.path, json=order, headers=key)
    if response.status_code != HTTPStatus.CREATED:
        message = f"{question.path}: {response.status_code} {response.text[:300]}"
        raise click.ClickException(message)


def _ask(client: httpx.Client, path: str, query: dict[str, str]) -> dict[str, Any]:
    response = client.get(path, params=query)
    if response.status_code != HTTPStatus.OK:
        message = f"{path} {query}: {response.status_code} {response.text[:300]}"
        raise click.ClickException(message)
    answer: dict[str, Any] = response.json()
    return answer
