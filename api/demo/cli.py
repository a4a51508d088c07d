"""`flask demo`."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson
from flask import current_app
from flask.cli import AppGroup
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.core import money
from api.core.caller import Caller
from api.demo import service
from api.demo.errors import FileUnusable
from api.demo.reading import read
from api.demo.retail import Bucket, sort_out
from api.rest.console import show, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from api.demo.retail import Sorted
    from api.demo.service import Figures
    from api.orders.service import Currency

demo = AppGroup("demo", help="A real shop's year, to try things on.")

SAMPLE = Path(__file__).parent / "data" / "online_retail_sample.csv.gz"
SHOWN = 20
"""So many malformed lines are listed for people; JSON lists all."""


@demo.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--limit-days", type=click.IntRange(min=1), help="Load only the first so many days.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def load(file: Path, limit_days: int | None, *, as_json: bool) -> None:
    """Load invoices in the form of UCI's "Online Retail II" (CSV, plain or gzip), all or nothing."""
    started = time.monotonic()
    console = Console(stderr=True, quiet=as_json)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with _without_collector(), transaction() as session:
        with console.status(f"Reading {file}"):
            past = sort_out(read(file), limit_days=limit_days)
        _refuse_without_sales(past, file)
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("Order lines", total=past.buckets[Bucket.SALE])
            figures = service.load(
                session, past, currency=_currency(), by=Caller.system(), advance=lambda n: progress.advance(task, n)
            )
    _report(past, figures, seconds=time.monotonic() - started, as_json=as_json)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Spare the garbage collector millions of objects that are all in use until the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def load_sample() -> str | None:
    """Load the shipped sample and commit; tells what was loaded, or None when there are data already."""
    with transaction() as session:
        if not service.is_empty(session):
            return None
        figures = service.load(session, sort_out(read(SAMPLE)), currency=_currency(), by=Caller.system())
    return f"{_summary(figures)} of a real gift shop, July 2010 (UCI Online Retail II, CC BY 4.0)"


def _currency() -> Currency:
    currency: Currency = current_app.extensions["currency"]
    return currency


def _refuse_without_sales(past: Sorted, file: Path) -> None:
    if not past.invoices:
        raise FileUnusable(path=file, reason="contains no sale.")


def _report(past: Sorted, figures: Figures, *, seconds: float, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(_facts(past, figures, seconds), option=orjson.OPT_INDENT_2))
        return
    click.echo(f"Loaded {_summary(figures)}.")
    folded = _count(past.folded_codes, "code")
    click.echo(f"{_count(figures.items, 'item')}; {folded} differed from one of them only in letter case.")
    click.echo(f"{_count(figures.units, 'unit')}, {figures.units_cancelled:,} of them cancelled.")
    buckets = [{"lines of the file": bucket.value, "count": f"{past.buckets[bucket]:,}"} for bucket in Bucket]
    total = {"lines of the file": "in all", "count": f"{past.lines:,}"}
    show([*buckets, total], title="Every line is in one place", as_json=False)
    for line, reason in past.malformed[:SHOWN]:
        click.echo(f"Line {line}: {reason}.")
    if len(past.malformed) > SHOWN:
        click.echo(f"… and {len(past.malformed) - SHOWN:,} more malformed lines; --json lists them all.")
    click.echo("Ledger, balances, promises and orders agree.")
    click.echo(f"{seconds:.1f} s, {figures.lines / seconds:,.0f} order lines per second.")


def _facts(past: Sorted, figures: Figures, seconds: float) -> dict[str, Any]:
    return {
        "orders": figures.orders,
        "lines": figures.lines,
        "gross": _plain(figures.gross),
        "currency": _currency().code,
        "items": figures.items,
        "codes_folded": past.folded_codes,
        "units": figures.units,
        "units_cancelled": figures.units_cancelled,
        "lines_read": past.lines,
        "buckets": {bucket.name.lower(): past.buckets[bucket] for bucket in Bucket},
        "malformed": [{"line": line, "reason": reason} for line, reason in past.malformed],
        "differences": 0,
        "seconds": round(seconds, 3),
        "lines_per_second": round(figures.lines / seconds),
    }


def _summary(figures: Figures) -> str:
    code = _currency().code
    symbol = "£" if code == "GBP" else f"{code} "
    counts = f"{_count(figures.orders, 'order')}, {_count(figures.lines, 'line')}"
    return f"{counts}, {symbol}{_plain(figures.gross, grouped=True)} gross"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(amount: Decimal, *, grouped: bool = False) -> str:
    digits = money.render(amount, places=_currency().places)
    whole, point, places = digits.partition(".")
    return f"{int(whole):,}{point}{places}" if grouped else digits
