"""`flask items`."""

from __future__ import annotations

from itertools import batched
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

import click
import orjson
from flask import g
from flask.cli import AppGroup

from api.core.caller import Caller
from api.core.outcomes import refusal
from api.items import service, tables
from api.items.errors import SkuRepeated
from api.items.schemas import ItemQuerySchema, ItemRowSchema, ItemSchema
from api.rest.bulk import read_rows
from api.rest.console import Refused, parse, show, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy.orm import Session

    from api.core.outcomes import Outcome
    from api.core.paging import Listing

items = AppGroup("items", help="The catalogue.")

ROWS_AT_ONCE = 1000
BAD_ROWS = 1
FORMS = ("csv", "ndjson")
SHOWN_IN_A_LIST = ("sku", "name", "category", "tags", "barcode", "unit_price", "is_stocked")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
form_option = click.option("--format", "form", type=click.Choice(FORMS), help="What it is, if its name does not tell.")


@items.command("list")
@click.option("--q", help="Words to search for.")
@click.option("--category", help="Exactly this category.")
@click.option("--tag", help="All of these tags, separated by commas.")
@click.option("--sort", help="What to sort by, as in category,-unit_price.")
@click.option("--archived", is_flag=True, help="Those out of the catalogue.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many at most.")
@as_json_option
def list_items(*, limit: int, archived: bool, as_json: bool, **options: str | None) -> None:
    """Show items, in order of SKU."""
    given = {name: value for name, value in options.items() if value is not None}
    query = parse(ItemQuerySchema, **given)
    for name in ("limit", "cursor", "count"):
        query.pop(name)
    with transaction() as session:
        rows, is_more = _first(session, service.search(session, **query, archived=archived), limit)
    chosen = rows if as_json else [{name: _cell(row[name]) for name in SHOWN_IN_A_LIST} for row in rows]
    show(chosen, title="Items", as_json=as_json)
    if is_more:
        click.echo(f"There are more than these {limit}.", err=True)


@items.command("show")
@click.argument("item", metavar="SKU|ID")
@as_json_option
def show_item(item: str, *, as_json: bool) -> None:
    """Show all that is known about an item."""
    with transaction() as session:
        (facts,) = _dumped([_find(session, item)])
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
    else:
        show([{"fact": name, "value": _cell(value)} for name, value in facts.items()], title=item, as_json=False)


@items.command("import")
@click.argument("file", type=click.File("rb"))
@form_option
@click.option("--dry-run", is_flag=True, help="Try everything, keep nothing.")
@as_json_option
def import_items(file: IO[bytes], form: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Create or change the items in FILE, a CSV table or NDJSON (`-` reads what is piped in).

    All of them or, when a row is bad, none; every bad row is reported.
    """
    with transaction(is_rehearsal=dry_run) as session:
        counts, problems = _import(session, file, form or _form_of(file))
        if problems:
            session.rollback()
    if as_json:
        click.echo(
            orjson.dumps(
                {"written": not (problems or dry_run), "counts": counts, "problems": problems, "dry_run": dry_run},
                option=orjson.OPT_INDENT_2,
            )
        )
    elif problems:
        show(problems, title="Bad rows; nothing was changed", as_json=False)
    else:
        show([counts], title="What would be" if dry_run else "Done", as_json=False)
    if problems:
        raise click.exceptions.Exit(BAD_ROWS)


@items.command("export")
@click.argument("file", type=click.File("wb", atomic=True), default="-")
@form_option
@click.option("--archived", is_flag=True, help="Those out of the catalogue.")
def export_items(file: IO[bytes], form: str | None, *, archived: bool) -> None:
    """Write all items to FILE (or the terminal), so that `flask items import` can read them."""
    form = form or _form_of(file)
    file.write(tables.write_header().encode() if form == "csv" else b"")
    with transaction() as session:
        for rows in _pages(session, service.search(session, archived=archived)):
            file.write("".join(tables.write(row, form=form) for row in rows).encode())


def _import(session: Session, file: IO[bytes], form: str) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Bring in a file chunk by chunk; tells how many rows had which outcome, and what is wrong with the bad ones."""
    schema, seen = ItemRowSchema(), set[str]()
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    problems: list[dict[str, Any]] = []
    try:
        for chunk in batched(tables.read(file, form=form), ROWS_AT_ONCE, strict=False):
            for outcome in _outcomes(session, schema, chunk, seen):
                if outcome.is_refused:
                    problems += (
                        {"line": outcome.line, "column": problem.field, "code": problem.code, "reason": problem.message}
                        for problem in outcome.problems
                    )
                else:
                    counts[outcome.outcome] += 1
    except tables.Unreadable as error:
        raise Refused(str(error)) from error
    return counts, problems


def _outcomes(
    session: Session, schema: ItemRowSchema, chunk: Iterable[tuple[int, Any]], seen: set[str]
) -> Iterator[Outcome]:
    """Apply the rows of a chunk whose SKUs no earlier chunk has."""
    lines, sent = zip(*chunk, strict=True)
    good = []
    for line, row in zip(lines, read_rows(schema, sent), strict=True):
        if row.problems:
            yield refusal(line, *row.problems)
        elif row.values["sku"].lower() in seen:
            yield refusal(line, SkuRepeated().problem)
        else:
            good.append((line, row.values))
    yield from service.upsert(session, good, by=Caller.system())
    seen.update(values["sku"].lower() for _, values in good)


def _form_of(file: IO[bytes]) -> str:
    return "ndjson" if Path(str(getattr(file, "name", ""))).suffix.lower() in {".ndjson", ".jsonl"} else "csv"


def _find(session: Session, name: str) -> Any:  # noqa: ANN401  # an item, whose class is the service's
    try:
        return service.get(session, UUID(name))
    except ValueError:
        return service.by_sku(session, name)


def _first(session: Session, listing: Listing, limit: int) -> tuple[list[dict[str, Any]], bool]:
    rows, following = listing.page(session, limit=limit, after=None)
    return _dumped(rows), bool(following)


def _pages(session: Session, listing: Listing) -> Iterator[list[dict[str, Any]]]:
    after: list[Any] | None = None
    while after is None or after:
        rows, after = listing.page(session, limit=ROWS_AT_ONCE, after=after)
        yield _dumped(rows)
        session.expunge_all()


def _dumped(rows: list[Any]) -> list[dict[str, Any]]:
    g.caller = Caller.system()  # who is at the console sees everything
    dumped: list[dict[str, Any]] = ItemSchema().dump(rows, many=True)
    return dumped


def _cell(value: Any) -> Any:  # noqa: ANN401  # a fact of any type
    match value:
        case list():
            return ", ".join(value)
        case dict():
            return orjson.dumps(value).decode()
    return value
