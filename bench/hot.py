"""Everybody wants the same item: does it sell as fast to 32 buyers as to 8?

uv run --group bench python -m bench hot

It starts PostgreSQL and gunicorn of its own, or takes `--url` of an installation made for trying things out. So many
buyers order one unit after the other, each over a connection that is kept open: all of them the one hot item, and for
comparison each an item of their own. Few buyers and many take turns, and medians are compared. Afterwards the books
must agree: as many units are reserved as orders were answered with 201.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import statistics
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import click
import httpx
from rich.console import Console
from rich.table import Table

from api.embedded import Postgres
from bench import servers
from bench.contention import is_loopback
from bench.servers import EMAIL, PASSWORD, PATIENCE_SECONDS, log_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOT, DISTINCT = "one hot item", "distinct items"
AMPLE = 1_000_000
"""Units of each item: nobody is refused."""


@dataclass(frozen=True, slots=True)
class Target:
    """An installation under load: where it is, who drives it, and what lies there."""

    url: str
    email: str
    password: str
    location_id: str
    items: Sequence[str]
    """The first is the hot one."""


@dataclass(frozen=True, slots=True)
class Run:
    """What so many buyers got in one go."""

    wanted: str
    buyers: int
    answers: Counter[int]
    seconds: float
    milliseconds: Sequence[float]

    @property
    def rate(self) -> float:
        """Orders placed a second."""
        return self.answers[HTTPStatus.CREATED] / self.seconds


class Buyer:
    """One kept-open connection that orders one unit after the other; a client library would cost more than the API."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, item_id: str) -> None:
        """Prepare everything of the request but its key."""
        self._reader, self._writer = reader, writer
        body = json.dumps({"lines": [{"item_id": item_id, "quantity": 1}]})
        self._before = f"POST /api/v1/orders HTTP/1.1\r\n{head}Content-Type: application/json\r\nIdempotency-Key: "
        self._after = f"\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    @classmethod
    async def connect(cls, url: httpx.URL, token: str, item_id: str) -> Self:
        """Open the connection."""
        reader, writer = await asyncio.open_connection(url.host, url.port or 80)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer, f"Host: {url.netloc.decode()}\r\nAuthorization: Bearer {token}\r\n", item_id)

    async def buy_until(self, end: float, answers: Counter[int], milliseconds: list[float]) -> None:
        """Order until the time is over, and count what is answered."""
        while (started := time.perf_counter()) < end:
            status = await asyncio.wait_for(self._buy(), PATIENCE_SECONDS)
            answers[status] += 1
            if status == HTTPStatus.CREATED:
                milliseconds.append((time.perf_counter() - started) * 1000)

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()

    async def _buy(self) -> int:
        self._writer.write(f"{self._before}{secrets.token_hex(12)}{self._after}".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return int(head[9:12])


@click.command()
@click.option("--few", default=8, show_default=True, type=click.IntRange(1, 1000), help="Buyers at once.")
@click.option("--many", default=32, show_default=True, type=click.IntRange(1, 1000), help="Buyers at once, to compare.")
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--seconds", default=4.0, show_default=True, help="How long one measurement takes.")
@click.option("--workers", default=2, show_default=True, help="Processes of the server that is started.")
@click.option("--threads", default=16, show_default=True, help="Threads of each, and connections of its pool.")
@click.option("--url", help="Load this installation instead of starting one.")
@click.option("--email", default=EMAIL, help="An administrator's address there.")
@click.option("--password", default=PASSWORD, help="Their password.", show_default=False)
@click.option("--allow-remote", is_flag=True, help="Let the load leave this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def hot(  # noqa: PLR0913  # a program has as many options as it has
    *,
    few: int,
    many: int,
    rounds: int,
    seconds: float,
    workers: int,
    threads: int,
    url: str | None,
    email: str,
    password: str,
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Let few buyers and many order one hot item; exit code 1 when the books do not agree or somebody got an error."""
    if url and not (allow_remote or is_loopback(url)):
        message = "is not on this machine; add --allow-remote if it is yours and may be loaded"
        raise click.BadParameter(message, param_hint="--url")
    with ExitStack() as running:
        url = url or running.enter_context(_served(workers, threads))
        with _client(url, email, password) as client:
            target = _lay_out(client, url, email, password, items=many + 1)
        runs = _measure(target, (few, many), rounds=rounds, seconds=seconds)
        with _client(url, email, password) as client:
            faults = _faults(client, target, runs)
    _show(runs, (few, many), faults, as_json=as_json)
    if faults:
        raise SystemExit(1)


def _measure(target: Target, crowds: Sequence[int], *, rounds: int, seconds: float) -> list[Run]:
    """Measure every combination in turn, round by round; a first round that is not kept warms everything up."""
    runs = []
    for number in range(rounds + 1):
        for wanted in (HOT, DISTINCT):
            for buyers in crowds:
                run = asyncio.run(_crowd(target, wanted, buyers, seconds if number else min(seconds, 2.0)))
                runs.append((number, run))
    return [run for number, run in runs if number] + [_counted_only(run) for number, run in runs if not number]


def _counted_only(run: Run) -> Run:
    """Keep what the first round has sold, for the books, without its time."""
    return Run(run.wanted, run.buyers, run.answers, 0, ())


async def _crowd(target: Target, wanted: str, buyers: int, seconds: float) -> Run:
    url = httpx.URL(target.url)
    token = await asyncio.to_thread(log_in, target.url, target.email, target.password)
    items = [target.items[0] if wanted == HOT else target.items[1 + number] for number in range(buyers)]
    crowd = [await Buyer.connect(url, token, item) for item in items]
    answers: Counter[int] = Counter()
    milliseconds: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(buyer.buy_until(started + seconds, answers, milliseconds) for buyer in crowd))
    took = time.perf_counter() - started
    for buyer in crowd:
        await buyer.close()
    return Run(wanted, buyers, answers, took, milliseconds)


@contextmanager
def _client(url: str, email: str, password: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}/api/v1/", timeout=PATIENCE_SECONDS, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {log_in(url, email, password)}"
        yield client


def _lay_out(client: httpx.Client, url: str, email: str, password: str, *, items: int) -> Target:
    name = f"HOT-{secrets.token_hex(4)}"
    made = [_ask(client, "items", {"sku": f"{name}-{n}", "name": "Hot", "unit_price": "1.00"}) for n in range(items)]
    place = _ask(client, "locations", {"code": name, "name": "Hot"})
    lines = [{"item_id": item["id"], "quantity": AMPLE} for item in made]
    _ask(client, "stock/receipts", {"location_id": place["id"], "lines": lines})
    return Target(url, email, password, place["id"], [item["id"] for item in made])


def _ask(client: httpx.Client, path: str, body: object) -> dict[str, str]:
    answer = client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(12)})
    found: dict[str, str] = answer.raise_for_status().json()
    return found


def _faults(client: httpx.Client, target: Target, runs: Sequence[Run]) -> list[str]:
    """Say what is not as it should be: answers that are no orders, orders without stock, a ledger that differs."""
    answers: Counter[int] = sum((run.answers for run in runs), Counter())
    placed = answers.pop(HTTPStatus.CREATED, 0)
    faults = [f"{count} buyers were answered {status}" for status, count in sorted(answers.items())]
    levels = client.get("stock/levels", params={"location_id": target.location_id, "limit": 200}).raise_for_status()
    reserved = sum(level["reserved"] for level in levels.json()["data"])
    if reserved != placed:
        faults.append(f"{placed} orders were placed and {reserved} units are reserved")
    for item_id in target.items:
        found = client.get("stock/verify", params={"item_id": item_id}).raise_for_status().json()
        if found["differences"]:
            faults.append(f"the ledger of {item_id} differs: {found['differences'][:3]}")
    return faults


def _show(runs: Sequence[Run], crowds: Sequence[int], faults: Sequence[str], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for wanted in (HOT, DISTINCT):
        medians = {}
        for buyers in crowds:
            timed = [run for run in runs if (run.wanted, run.buyers) == (wanted, buyers) and run.seconds]
            medians[buyers] = statistics.median(run.rate for run in timed)
            waits = sorted(wait for run in timed for wait in run.milliseconds)
            rows.append(
                {
                    "wanted": wanted,
                    "buyers": buyers,
                    "orders_per_second": round(medians[buyers], 1),
                    "beside_few": round(medians[buyers] / medians[crowds[0]], 2),
                    "p50_ms": round(waits[len(waits) // 2], 1),
                    "p99_ms": round(waits[len(waits) * 99 // 100], 1),
                    "each": [round(run.rate) for run in timed],
                }
            )
    if as_json:
        click.echo(json.dumps({"rows": rows, "faults": faults}, indent=2))
        return
    table = Table(title="Orders placed a second; medians of rounds that took turns")
    for title in ("wanted", "buyers", "orders/s", "beside few", "p50, ms", "p99, ms", "each round"):
        table.add_column(title, justify="left" if title in {"wanted", "each round"} else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console = Console()
    console.print(table)
    for fault in faults:
        console.print(f"FAULT: {fault}", style="red")
    if not faults:
        console.print("Every order has its unit, and the ledger adds up.")


@contextmanager
def _served(workers: int, threads: int) -> Iterator[str]:
    """Start PostgreSQL, as durable as in production, and gunicorn; tells the URL."""
    with TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True) as directory:
        postgres = Postgres.start(Path(directory), options={"max_connections": str(max(100, 2 * workers * threads))})
        try:
            postgres.create_database("hot")
            environment = servers.environment(
                postgres.url("hot"), Path(directory), DATABASE_POOL_SIZE=str(threads), **servers.AMPLE_LIMITS
            )
            servers.migrate(servers.application(environment))
            command = servers.gunicorn("wsgi:app", workers=workers, threads=threads)
            with servers.serving(command, environment) as server:
                yield server.url
        finally:
            postgres.stop()
