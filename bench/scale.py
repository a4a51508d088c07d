"""A large installation, asked one question at a time: does an answer cost the same however much there is, and how deep?

uv run --group bench python -m bench scale --items 1000000 --movements 10000000

It starts PostgreSQL and gunicorn of its own, makes a warehouse up (see `bench.warehouse`), asks over HTTP and prints
medians beside those of the same questions to a small one. With --keep the data are used again next time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import flask_migrate
import httpx
import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from api import create_app
from api.auth import keys
from api.config import Settings
from api.core.caller import Caller
from api.embedded import Postgres
from api.extensions import db
from api.stock import service as stock
from api.users import service as users
from bench.warehouse import ITEM, PLACE, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.warehouse import Warehouse

PROJECT = Path(__file__).resolve().parent.parent
EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"  # opens nothing but this program's server
SECRET = "a secret of the load programs, forty-odd characters"  # noqa: S105  # the same
PAST = "2026-01-01T00:00:00Z"
PAGES_DEEP = 100
"""A deep page is asked for after so many pages of 200 rows."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask, and what the answer must have."""

    name: str
    path: str
    query: dict[str, str]
    is_deep: bool = False


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
    with TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True) as directory:
        postgres = Postgres.start(
            keep or Path(directory), options={"shared_buffers": "2GB", "max_wal_size": "8GB", "fsync": "off"}
        )
        try:
            sizes = {"large": (items, movements), "small": (beside, max(movements * beside // items, beside * 2))}
            answers = {
                name: _measure(postgres, name, *size, Path(directory), count=count) for name, size in sizes.items()
            }
        finally:
            postgres.stop()
    rows = [
        {
            "question": name,
            "large_ms": round(large, 2),
            "small_ms": round(answers["small"][name], 2),
            "ratio": round(large / answers["small"][name], 2),
        }
        for name, large in answers["large"].items()
    ]
    if as_json:
        click.echo(json.dumps({"items": items, "movements": movements, "rows": rows}, indent=2))
        return
    table = Table(title=f"{items:,} items and {movements:,} movements beside {beside:,} items; medians at c=1")
    for title in ("question", "large, ms", "small, ms", "ratio"):
        table.add_column(title, justify="left" if title == "question" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _measure(
    postgres: Postgres, name: str, items: int, movements: int, directory: Path, *, count: int
) -> dict[str, float]:
    database = f"bench_{name}_{items}_{movements}"
    environment = _environment(postgres.url(database), directory)
    warehouse = _prepare(postgres, database, environment, items=items, movements=movements)
    with _served(environment) as client:
        asked = [(question, _cursor(client, question)) for question in questions(warehouse)]
        return {question.name: _median(client, question, query, count) for question, query in asked}


def _environment(database_url: str, directory: Path) -> dict[str, str]:
    keys_dir = directory / "keys"
    if not keys_dir.exists():
        keys.create(keys_dir)
    return {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "test",
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET,
        "JWT_KEYS_DIR": str(keys_dir),
        "ALLOW_UNSAFE_DURABILITY": "true",
        "LOG_LEVEL": "warning",
    }


def _prepare(
    postgres: Postgres, database: str, environment: dict[str, str], *, items: int, movements: int
) -> Warehouse:
    postgres.create_database(database)
    app = create_app(Settings(**{name.lower(): value for name, value in environment.items() if name != "PATH"}))  # type: ignore[arg-type]  # pydantic validates by name
    with app.app_context():
        flask_migrate.upgrade()
        if users.find(db.session(), EMAIL) is None:
            users.create(db.session(), email=EMAIL, name="Bench", password=PASSWORD, role="admin", by=Caller.system())
            db.session.commit()
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
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-w", "1", "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "wsgi:app"], cwd=PROJECT, env=environment)  # noqa: S603  # this project's own server
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as client:
            _log_in(client)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def _log_in(client: httpx.Client) -> None:
    credentials = {"username": EMAIL, "password": PASSWORD}
    until = time.monotonic() + 30
    while not _answers(client) and time.monotonic() < until:
        time.sleep(0.1)
    answer = client.post("/auth/token", json=credentials)
    client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get(client.base_url.join("/ready")).is_success
    except httpx.TransportError:
        return False


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


def _median(client: httpx.Client, question: Question, query: dict[str, str], count: int) -> float:
    """Ask so often, after a few times that do not count; milliseconds."""
    for _ in range(10):
        _ask(client, question.path, query)
    times = []
    for _ in range(count):
        started = time.perf_counter()
        _ask(client, question.path, query)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _ask(client: httpx.Client, path: str, query: dict[str, str]) -> dict[str, Any]:
    response = client.get(path, params=query)
    if response.status_code != HTTPStatus.OK:
        message = f"{path} {query}: {response.status_code} {response.text[:300]}"
        raise click.ClickException(message)
    answer: dict[str, Any] = response.json()
    return answer
