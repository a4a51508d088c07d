"""A shop's day, over and over: does the memory of a worker stay as it is, and is everybody answered as they should be?

uv run --group bench python -m bench soak --minutes 60

It starts PostgreSQL, Valkey and the server as installed, fills a warehouse, and lets shoppers do by turns, drawn from a
seed, what customers, clerks and programs do, mistakes included. Workers are not replaced meanwhile, which would hide
what they lose. At the end the books must agree with what was answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import statistics
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import click
import httpx
import orjson
import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from api.embedded import Postgres, Valkey
from bench import servers
from bench.servers import PASSWORD, PATIENCE_SECONDS
from bench.warehouse import ITEM, PLACE, fill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

WORKERS = 2
CUSTOMER, CLERK = ROLES = ("customer@example.com", "clerk@example.com")
ITEMS, MOVEMENTS, AMPLE = 10_000, 50_000, 500_000
MOST_MEGABYTES = 120.0
MOST_GROWTH = 1.03
"""The own part of a worker in the last quarter of the time, beside the second quarter, when everything is warm."""

MOST_LINES, KEPT_COPIES, KEPT_ORDERS = 24, 200, 50
WINDOWS = 12
NO_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # whatever the body holds
        """Read the body."""
        return orjson.loads(self.body)


class UnexpectedError(Exception):
    """An answer that should have been another."""


class Line:
    """A connection that is kept open; a client library would take more of the machine than the server."""

    def __init__(self, url: httpx.URL) -> None:
        """Remember where it goes; it is opened when it is needed."""
        self._url = url
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and read its answer."""
        reader, writer = await self._open()
        head = {"Host": self._url.netloc.decode(), "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
        status = int(first.split(" ")[1])
        length = 0 if status in NO_BODY else int(found["content-length"])
        answer = Answer(status, found, await reader.readexactly(length))
        if found.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Close it, if it is open."""
        ends, self._ends = self._ends, None
        if ends:
            ends[1].close()
            with suppress(ConnectionError):
                await ends[1].wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends and self._ends[0].at_eof():
            await self.close()
        if self._ends is None:
            self._ends = await asyncio.open_connection(self._url.host, self._url.port, limit=2**22)
        return self._ends


@dataclass(slots=True)
class Window:
    """What happened and what the workers held in one stretch of time."""

    minutes: float
    workers: list[int]
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    megabytes: list[float]
    """Each worker's own part of the memory (PSS)."""

    resident: list[float]
    threads: int
    files: int
    connections: int


@dataclass(slots=True)
class Tally:
    """What was answered so far."""

    placed: int = 0
    unsure: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


class Shopper:
    """Does one thing after the other over one connection, as different people would."""

    def __init__(self, url: str, words: Sequence[str], tally: Tally, seed: int) -> None:
        """Begin without being logged in."""
        self._line = Line(httpx.URL(url))
        self._words, self._tally, self._chance = words, tally, random.Random(seed)
        self._tokens: dict[str, str] = {}
        self._copies: dict[str, str] = {}
        self._orders: list[str] = []
        self._after = 0
        self._does: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._show, 22),
            (self._browse, 12),
            (self._search, 6),
            (self._look_up_stock, 12),
            (self._read_ledger, 4),
            (self._order, 16),
            (self._order_twice, 2),
            (self._look_at_orders, 4),
            (self._cancel, 3),
            (self._receive, 3),
            (self._reserve, 4),
            (self._read_on, 5),
            (self._err, 5),
            (self._log_in, 0.5),
            (self._mistype_password, 0.1),
        ]
        """What is done, and how often among a hundred."""

    async def go_on(self, end: float, pace: float) -> None:
        """Do things until the time is over, at most one in so many seconds."""
        for email in ROLES:
            await self._token(email)
        does, weights = zip(*self._does, strict=True)
        while time.monotonic() < end:
            next_at = time.monotonic() + pace
            (do,) = self._chance.choices(does, weights)
            try:
                await asyncio.wait_for(do(), PATIENCE_SECONDS)
            except (UnexpectedError, OSError, EOFError, TimeoutError, ValueError) as error:
                self._tally.faults.append(f"{do.__name__.strip('_')}: {type(error).__name__} {error}"[:400])
                await self._line.close()
            await asyncio.sleep(next_at - time.monotonic())
        await self._line.close()

    async def _ask(  # what a request has
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        wants: int = HTTPStatus.OK,
        email: str = CUSTOMER,
        key: str | None = None,
        copy: str | None = None,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._tokens.get(email, '')}"}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= {"If-None-Match": copy} if copy else {}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        sent = b"" if body is None else orjson.dumps(body)
        started = time.perf_counter()
        answer = await self._line.send(method, f"/api/v1{path}", headers, sent)
        self._tally.milliseconds.append((time.perf_counter() - started) * 1000)
        self._tally.answers[f"{answer.status}"] += 1
        if answer.status != wants and not (copy and answer.status == HTTPStatus.NOT_MODIFIED):
            message = f"{method} {path}: {answer.status} instead of {int(wants)}: {answer.body[:300].decode()}"
            raise UnexpectedError(message)
        return answer

    async def _token(self, email: str, password: str = PASSWORD, wants: int = HTTPStatus.OK) -> None:
        answer = await self._ask("POST", "/auth/token", {"username": email, "password": password}, wants=wants)
        if answer.status == HTTPStatus.OK:
            self._tokens[email] = answer.json()["access_token"]

    def _item(self) -> str:
        return f"{ITEM}-{self._chance.randrange(ITEMS):012x}"

    def _lines(self, most: int) -> list[dict[str, Any]]:
        numbers = self._chance.sample(range(ITEMS), self._chance.randint(1, most))
        return [{"item_id": f"{ITEM}-{number:012x}", "quantity": self._chance.randint(1, 3)} for number in numbers]

    async def _show(self) -> None:
        path = f"/items/{self._item()}"
        if self._copies and self._chance.random() < 0.4:  # noqa: PLR2004  # two in five come back
            path = self._chance.choice(list(self._copies))
        answer = await self._ask("GET", path, copy=self._copies.get(path))
        if answer.status == HTTPStatus.OK:
            if len(self._copies) >= KEPT_COPIES:
                self._copies.clear()
            self._copies[path] = answer.headers["etag"]

    async def _browse(self) -> None:
        query = {"limit": "50", "sort": self._chance.choice(["sku", "name", "-unit_price", "-created_at"])}
        page = (await self._ask("GET", f"/items?{urlencode(query)}")).json()
        await self._ask("GET", f"/items?{urlencode(query | {'cursor': page['next_cursor']})}")

    async def _search(self) -> None:
        word = self._chance.choice(self._words)[: self._chance.randint(3, 8)]
        await self._ask("GET", f"/items?q={quote(word)}&limit=20")

    async def _look_up_stock(self) -> None:
        await self._ask("GET", f"/items/{self._item()}/availability")
        await self._ask("GET", f"/stock/levels?item_id={self._item()}", email=CLERK)

    async def _read_ledger(self) -> None:
        await self._ask("GET", f"/stock/movements?item_id={self._item()}&limit=20", email=CLERK)

    async def _order(self) -> None:
        await self._place(secrets.token_hex(12), {"lines": self._lines(MOST_LINES)})

    async def _order_twice(self) -> None:
        key, order = secrets.token_hex(12), {"lines": self._lines(3)}
        first = await self._place(key, order)
        again = await self._ask("POST", "/orders", order, wants=HTTPStatus.CREATED, key=key)
        if again.body != first.body or "idempotency-replayed" not in again.headers:
            message = f"{key}: the repetition was answered otherwise"
            raise UnexpectedError(message)

    async def _place(self, key: str, order: dict[str, Any]) -> Answer:
        self._tally.unsure += 1
        answer = await self._ask("POST", "/orders", order, wants=HTTPStatus.CREATED, key=key)
        self._tally.unsure -= 1
        self._tally.placed += 1
        self._orders = [*self._orders[1 - KEPT_ORDERS :], answer.json()["id"]]
        return answer

    async def _look_at_orders(self) -> None:
        await self._ask("GET", "/orders?limit=20")
        if self._orders:
            await self._ask("GET", f"/orders/{self._chance.choice(self._orders)}")

    async def _cancel(self) -> None:
        if self._orders:
            order = self._orders.pop(self._chance.randrange(len(self._orders)))
            await self._ask("POST", f"/orders/{order}/cancel", {}, key=secrets.token_hex(12))

    async def _receive(self) -> None:
        lines = [line | {"unit_cost": "1.25"} for line in self._lines(5)]
        receipt = {"location_id": f"{PLACE}-{0:012x}", "lines": lines}
        await self._ask(
            "POST", "/stock/receipts", receipt, wants=HTTPStatus.CREATED, email=CLERK, key=secrets.token_hex(9)
        )

    async def _reserve(self) -> None:
        wanted = {"lines": self._lines(3), "ttl_seconds": self._chance.choice([1, 60, 3600])}
        kept = await self._ask("POST", "/reservations", wanted, wants=HTTPStatus.CREATED, key=secrets.token_hex(9))
        if wanted["ttl_seconds"] != 1:  # those lapse by themselves
            path = f"/reservations/{kept.json()['id']}/release"
            await self._ask("POST", path, {}, key=secrets.token_hex(9))

    async def _read_on(self) -> None:
        found = (await self._ask("GET", f"/events?after={self._after}&limit=100", email=CLERK)).json()
        self._after = found["next_after"]

    async def _err(self) -> None:
        mistakes: tuple[tuple[str, str, object, HTTPStatus], ...] = (
            ("POST", "/orders", {"lines": []}, HTTPStatus.UNPROCESSABLE_ENTITY),
            ("POST", "/orders", {"lines": [{"sku": "no such", "quantity": 1}]}, HTTPStatus.UNPROCESSABLE_ENTITY),
            ("GET", f"/items/{ITEM}-ffffffffffff", None, HTTPStatus.NOT_FOUND),
            ("GET", "/items?sort=colour", None, HTTPStatus.UNPROCESSABLE_ENTITY),
            ("GET", "/stock/movements", None, HTTPStatus.FORBIDDEN),
            ("DELETE", "/orders", None, HTTPStatus.METHOD_NOT_ALLOWED),
        )
        method, path, body, wants = self._chance.choice(mistakes)
        await self._ask(method, path, body, wants=wants)

    async def _log_in(self) -> None:
        await self._token(self._chance.choice(ROLES))

    async def _mistype_password(self) -> None:
        await self._token("nobody@example.com", "another horse", wants=HTTPStatus.UNAUTHORIZED)


@click.command()
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(0.1), help="How long it takes.")
@click.option("--connections", default=8, show_default=True, type=click.IntRange(1), help="Shoppers at once.")
@click.option("--rate", default=0.0, help="Turns a second of all shoppers together, at most; 0 is as many as can be.")
@click.option("--sample", default=30.0, show_default=True, help="How often memory is looked at, in seconds.")
@click.option("--seed", default=7, show_default=True, help="What is drawn from it is the same each time.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write everything to this file, as JSON.")
def soak(*, minutes: float, connections: int, rate: float, sample: float, seed: int, out: Path | None) -> None:
    """Put mixed load on a server for a long time; exit code 1 when it grows, or an answer or a book is wrong."""
    tally, windows = Tally(), list[Window]()
    with ExitStack() as running:
        database, server, words = _start(running)
        pace = connections / rate if rate else 0.0
        shoppers = [Shopper(server.url, words, tally, seed + number) for number in range(connections)]
        with suppress(KeyboardInterrupt):
            asyncio.run(
                _pass(shoppers, tally, windows, server.pid, database, seconds=minutes * 60, sample=sample, pace=pace)
            )
        faults = tally.faults[:20] + _check_books(database, tally)
    faults += _check_memory(windows)
    if out:
        report = {"windows": list(map(asdict, windows)), "answers": tally.answers, "placed": tally.placed}
        out.write_text(json.dumps(report | {"faults": faults}, indent=2) + "\n", "utf-8")
    _show(windows, tally, faults)
    if faults:
        raise SystemExit(1)


def _start(running: ExitStack) -> tuple[Postgres, servers.Server, Sequence[str]]:
    directory = Path(running.enter_context(TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True)))
    database = Postgres.start(directory)
    running.callback(database.stop)
    valkey = Valkey.start(directory)
    running.callback(valkey.stop)
    database.create_database("bench")
    settings = servers.AMPLE_LIMITS | {"REDIS_URL": valkey.url, "ACCESS_TOKEN_SECONDS": "3600"}
    settings |= dict.fromkeys(("RESERVATIONS_PER_CUSTOMER", "RESERVATION_UNITS_PER_CUSTOMER"), "1000000")
    environment = servers.environment(database.url("bench"), directory, **settings)
    servers.migrate(servers.application(environment), **{CUSTOMER: "customer", CLERK: "clerk"})
    with psycopg.connect(database.url("bench")) as connection:
        warehouse = fill(connection, items=ITEMS, movements=MOVEMENTS, received=AMPLE)
    server = running.enter_context(servers.serving(servers.gunicorn("wsgi:app", workers=WORKERS), environment))
    while len(psutil.Process(server.pid).children()) < WORKERS:  # the first would get all connections
        time.sleep(0.05)
    return database, server, warehouse.words


async def _pass(  # what a run has
    shoppers: Sequence[Shopper],
    tally: Tally,
    windows: list[Window],
    pid: int,
    database: Postgres,
    *,
    seconds: float,
    sample: float,
    pace: float,
) -> None:
    """Let time pass, and look at the workers every so often."""
    began = time.monotonic()
    watching = asyncio.create_task(_watch(tally, windows, pid, database, sample))
    try:
        await asyncio.gather(*(shopper.go_on(began + seconds, pace) for shopper in shoppers))
        if watching.done():
            watching.result()  # tells what has kept it from going on
    finally:
        watching.cancel()


async def _watch(tally: Tally, windows: list[Window], pid: int, database: Postgres, sample: float) -> None:
    began = since = time.monotonic()
    while True:
        await asyncio.sleep(sample)
        now = time.monotonic()
        times, tally.milliseconds = sorted(tally.milliseconds), []
        workers = psutil.Process(pid).children()
        memory = [worker.memory_full_info() for worker in workers]
        windows.append(
            Window(
                minutes=round((now - began) / 60, 2),
                workers=sorted(worker.pid for worker in workers),
                requests=len(times),
                per_second=round(len(times) / (now - since), 1),
                p50_ms=round(times[len(times) // 2], 1) if times else 0.0,
                p99_ms=round(times[len(times) * 99 // 100], 1) if times else 0.0,
                megabytes=[round(info.pss / 1e6, 2) for info in memory],
                resident=[round(info.rss / 1e6, 1) for info in memory],
                threads=sum(worker.num_threads() for worker in workers),
                files=sum(worker.num_fds() for worker in workers),
                connections=_connections(database),
            )
        )
        since = now


def _connections(database: Postgres) -> int:
    with psycopg.connect(database.url("bench")) as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stockroom'"
        row = connection.execute(asked).fetchone()
    return int(row[0]) if row else 0


def _check_memory(windows: Sequence[Window]) -> list[str]:
    """Tell whether a worker holds too much, or more and more."""
    held = [max(window.megabytes) for window in windows] or [0.0]
    faults = [f"a worker holds {max(held)} MB, more than {MOST_MEGABYTES}"] if max(held) > MOST_MEGABYTES else []
    if any(window.workers != windows[0].workers for window in windows):
        faults.append("a worker has died, and another has taken its place")
    growth = _growth(held)
    if growth is not None and growth > MOST_GROWTH:
        faults.append(f"the largest worker holds {growth:.3f} times in the last quarter what it held in the second")
    return faults


def _growth(held: Sequence[float]) -> float | None:
    """Tell how many times as much the last quarter holds as the second; None when there are no quarters yet."""
    quarter = len(held) // 4
    return statistics.median(held[-quarter:]) / statistics.median(held[quarter : 2 * quarter]) if quarter else None


_SAID = """
    SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM events WHERE type = 'order.placed'),
        (SELECT count(*) FROM integrity)
"""


def _check_books(database: Postgres, tally: Tally) -> list[str]:
    """Look whether orders, events and the ledger agree, and with what was answered."""
    with psycopg.connect(database.url("bench"), options="-c statement_timeout=0") as connection:
        orders, events, differences = connection.execute(_SAID).fetchone() or (0, 0, 0)
    faults = []
    if not tally.placed <= orders <= tally.placed + tally.unsure:
        faults.append(f"{tally.placed} orders were answered and {orders} are there")
    if orders != events:
        faults.append(f"{orders} orders and {events} events of orders placed")
    if differences:
        faults.append(f"the integrity view names {differences} differences")
    return faults


def _show(windows: Sequence[Window], tally: Tally, faults: Sequence[str]) -> None:
    console = Console(width=120)
    table = Table(title=f"Mixed load on {WORKERS} workers")
    titles = ("minutes", "requests", "a second", "p50, ms", "p99, ms", "own part, MB", "resident, MB")
    for title in (*titles, "threads", "files", "connections"):
        table.add_column(title, justify="right")
    step = max(1, len(windows) // WINDOWS)
    for one in windows[step - 1 :: step]:
        largest = (max(one.megabytes, default=0), max(one.resident, default=0))
        row = (one.minutes, one.requests, one.per_second, one.p50_ms, one.p99_ms, *largest)
        table.add_row(*map(str, (*row, one.threads, one.files, one.connections)))
    console.print(table)
    console.print(f"{tally.answers.total():,} answers: {dict(sorted(tally.answers.items()))}; {tally.placed:,} orders")
    held = [max(window.megabytes) for window in windows] or [0.0]
    growth = _growth(held)
    told = "too short to tell whether it grows" if growth is None else f"last quarter × {growth:.3f} of the second"
    console.print(f"The largest worker's own part: {max(held)} MB at most, {told}.")
    for fault in faults:
        console.print(f"FAULT: {fault}", style="red", markup=False)
    if not faults:
        console.print("Every answer was as it should be, and the books agree.")
