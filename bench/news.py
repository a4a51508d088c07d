"""How fast news arrives: events a second through a webhook, and the time from commit to receipt.

uv run --group bench python -m bench news --file online_retail_2009_2010.csv.gz --days 31

It starts PostgreSQL, a task worker and a subscriber of its own (Node, with the official `standardwebhooks` package; the
packages are installed by `npm ci` the first time). First a past is loaded, and the subscriber gets and verifies every
event of it. Then orders are placed at a steady pace, and for each it is measured when its commit returned and when the
receiver had its event. The feed is read beside it and must tell the same.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import flask_migrate
import httpx
from sqlalchemy import text

from api import create_app
from api.auth import keys
from api.config import Settings
from api.core.caller import Caller
from api.demo.reading import read
from api.demo.retail import Invoice, sort_out
from api.embedded import Postgres
from api.events import service as events
from api.extensions import db
from api.items import service as items
from api.locations import service as locations
from api.orders import service as orders
from api.stock import service as stock
from api.webhooks import service as webhooks
from api.webhooks.courier import means_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.demo.retail import Sorted

PROJECT = Path(__file__).resolve().parent.parent
SAMPLE = PROJECT / "api" / "demo" / "data" / "online_retail_sample.csv.gz"
SUBSCRIBER = PROJECT / "tests" / "webhooks" / "subscriber"
SECRET = "a secret of the load programs, forty-odd characters"  # noqa: S105  # opens nothing but this program's server
SYSTEM = Caller.system()
GBP = orders.Currency("GBP", 2)
LINES_PER_RECEIPT = 500
PATIENCE_SECONDS = 900.0
TEST = "the test event"


@click.command()
@click.option("--file", type=click.Path(path_type=Path), default=SAMPLE, show_default=True, help="Retail data.")
@click.option("--days", type=click.IntRange(min=1), help="Replay only the first so many days.")
@click.option("--rate", default=20.0, show_default=True, help="Orders a second while delays are measured.")
@click.option("--orders", "count", default=400, show_default=True, help="How many orders that are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def news(file: Path, days: int | None, rate: float, count: int, *, as_json: bool) -> None:
    """Measure how fast events reach a subscriber, and how soon."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="stockroom-bench-", ignore_cleanup_errors=True)))
        app, environment = _installation(folder, stack)
        replayed = _replay(app, environment, file, days)
        delays = _delays(app, environment, rate=rate, count=count)
    if as_json:
        click.echo(json.dumps(replayed | delays, indent=2))
        return
    for name, value in (replayed | delays).items():
        click.echo(f"{name:<28} {value}")


def _installation(folder: Path, stack: ExitStack) -> tuple[Flask, dict[str, str]]:
    postgres = Postgres.start(folder)
    stack.callback(postgres.stop)
    postgres.create_database()
    keys.create(folder / "keys")
    values = {
        "ENVIRONMENT": "test",
        "DATABASE_URL": postgres.url(),
        "SECRET_KEY": SECRET,
        "JWT_KEYS_DIR": str(folder / "keys"),
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "LOG_LEVEL": "warning",
    }
    os.environ.update(values)
    app = create_app(Settings.load())
    with app.app_context():
        flask_migrate.upgrade()
    return app, os.environ | values


def _replay(app: Flask, environment: dict[str, str], file: Path, days: int | None) -> dict[str, Any]:
    """Let the subscriber get a past, from the first event on."""
    with app.app_context():
        endpoint = webhooks.create(
            db.session(), url="http://127.0.0.1:9/", means=means_of(app), by=SYSTEM, max_in_flight=20
        )
        db.session.commit()
        secret = webhooks.secret(db.session(), endpoint.id, means=means_of(app), by=SYSTEM).secret
        db.session.commit()
    with _subscriber(secret) as url:
        with app.app_context():
            webhooks.update(
                db.session(), webhooks.get(db.session(), endpoint.id), {"url": url}, means=means_of(app), by=SYSTEM
            )
            db.session.commit()
            replayed = _live_again(db.session(), sort_out(read(file), limit_days=days))
            last = events.catch_up(db.session()).last
            db.session.commit()
        started = time.monotonic()
        with _worker(environment):
            summary = _until_all(url, last, started)
    seconds = time.monotonic() - started
    return replayed | {
        "events": last,
        "verified": summary["distinct"],
        "messages": summary["messages"],
        "refused": summary["refused"],
        "positions": summary["positions"],
        "seconds": round(seconds, 1),
        "events_per_second": round(last / seconds, 1),
    }


def _live_again(session: Session, past: Sorted) -> dict[str, Any]:
    """Place and cancel what a shop's customers did, one transaction after the other, as if it happened now."""
    articles = past.articles.items()
    items.import_many(
        session,
        [
            {"sku": one.sku, "name": one.name, "unit_price": one.price, "is_stocked": one.is_stocked}
            for _, one in articles
        ],
    )
    place = locations.create(session, code="MAIN", name="Main warehouse", by=SYSTEM)
    lines = [stock.Line(sku=one.sku, quantity=one.units + 12) for _, one in articles if one.is_stocked]
    for start in range(0, len(lines), LINES_PER_RECEIPT):
        stock.receive(session, location_id=place.id, lines=lines[start : start + LINES_PER_RECEIPT], by=SYSTEM)
    session.commit()
    known: dict[str, UUID] = {}
    started = time.monotonic()
    for step in past.history():
        if isinstance(step, Invoice):
            wanted = [
                orders.LineRequest(sku=past.articles[one.key].sku, quantity=one.quantity, unit_price=one.price)
                for one in step.sales
            ]
            request = orders.OrderRequest(lines=wanted, reference=step.number)
            known[step.number] = orders.place(session, request, currency=GBP, by=SYSTEM).id
        else:
            choice = orders.LineChoice(line_no=step.line_no, quantity=step.quantity)
            orders.cancel(session, known[step.invoice.number], lines=[choice], currency=GBP, by=SYSTEM)
        session.commit()
    seconds = time.monotonic() - started
    return {
        "days": (step.at - past.history()[0].at).days + 1,
        "orders_replayed": len(known),
        "replay_seconds": round(seconds, 1),
    }


def _until_all(url: str, last: int, started: float) -> dict[str, Any]:
    while True:
        summary: dict[str, Any] = httpx.get(url.replace("/hooks", "/summary")).json()
        if summary["distinct"] >= last:
            return summary
        if time.monotonic() - started > PATIENCE_SECONDS:
            message = f"Only {summary['distinct']} of {last} events arrived within {PATIENCE_SECONDS:.0f} s."
            raise click.ClickException(message)
        time.sleep(0.1)


def _delays(app: Flask, environment: dict[str, str], *, rate: float, count: int) -> dict[str, Any]:
    """Place orders at a steady pace and see when each is told of."""
    received: dict[str, float] = {}
    with _receiver(received) as url, app.app_context(), _worker(environment):
        session = db.session()
        session.execute(text("UPDATE webhook_endpoints SET is_active = false"))
        endpoint = webhooks.create(
            session, url=url, means=means_of(app), by=SYSTEM, types=["order.placed"], max_in_flight=20
        )
        item = items.create(session, sku="NEWS", name="News", unit_price=Decimal("1.00"), by=SYSTEM)
        place = locations.create(session, code="NEWS", name="News", by=SYSTEM)
        stock.receive(session, location_id=place.id, lines=[stock.Line(item_id=item.id, quantity=count)], by=SYSTEM)
        session.commit()
        webhooks.test(session, endpoint.id)
        session.commit()
        _until(lambda: TEST in received)
        committed: dict[str, float] = {}
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            wanted = orders.OrderRequest(lines=[orders.LineRequest(item_id=item.id, quantity=1)])
            order = orders.place(session, wanted, currency=GBP, by=SYSTEM)
            session.commit()
            committed[str(order.id)] = time.monotonic()
        _until(lambda: len(received) > count)
    delays = sorted((received[order] - moment) * 1000 for order, moment in committed.items() if order in received)
    return {
        "orders": count,
        "orders_told_of": len(delays),
        "delay_ms_p50": round(statistics.median(delays)),
        "delay_ms_p99": round(delays[int(len(delays) * 0.99)]),
        "delay_ms_max": round(delays[-1]),
    }


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def _worker(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment)  # noqa: S603  # our own program
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _subscriber(secret: str) -> Iterator[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        message = "This needs Node and npm: apt-get install nodejs npm"
        raise click.ClickException(message)
    if not (SUBSCRIBER / "node_modules").is_dir():
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=SUBSCRIBER, check=True, stdout=sys.stderr)  # noqa: S603  # found above
    process = subprocess.Popen(  # noqa: S603  # found above
        [node, "subscriber.mjs"], cwd=SUBSCRIBER, env=os.environ | {"SECRET": secret}, stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stdout.readline()) if process.stdout else 0
        yield f"http://127.0.0.1:{port}/hooks"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _receiver(received: dict[str, float]) -> Iterator[str]:
    class Receiver(BaseHTTPRequestHandler):
        """Notes when an event was first received, by its subject."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.setdefault(json.loads(body).get("subject_id", TEST), time.monotonic())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the library
            """Say nothing about requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks"
    finally:
        server.shutdown()
