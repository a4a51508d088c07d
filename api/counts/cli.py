"""`flask stock count`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.counts import service
from api.counts.schemas import (
    UNCOUNTED,
    CountEnterSchema,
    CountEntriesSchema,
    CountLineSchema,
    CountOpenSchema,
    CountSchema,
)
from api.locations import service as locations
from api.rest.console import (
    as_json_option,
    dry_run_option,
    lines_argument,
    parse,
    read,
    reference_option,
    show,
    transaction,
    yes_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

count = AppGroup("count", help="Count what lies at a location.")

ROWS_SHOWN = 10_000
SHOWN_OF_A_COUNT = ("id", "location_code", "status", "items_counted", "items_differing", "items_moved", "closed_at")
SHOWN_OF_A_LINE = ("sku", "name", "counted", "expected", "difference", "on_hand", "moved_between_entries")
SHOWN_OF_AN_ENTRY = ("sku", "quantity", "on_hand", "counted_at")

count_argument = click.argument("name", metavar="COUNT")
"""By its id, or by the code of the location it is open at."""


@count.command("open")
@click.argument("location")
@reference_option
@as_json_option
def open_count(location: str, *, reference: str | None, as_json: bool) -> None:
    """Begin to count what lies at LOCATION (a code)."""
    facts = {"reference": reference} if reference else {}
    with transaction() as session:
        body = parse(CountOpenSchema, location_id=str(locations.by_code(session, location).id), **facts)
        _show(service.open_(session, **body, by=Caller.system()), title="Opened", as_json=as_json)


@count.command("enter")
@count_argument
@lines_argument("SKU=QUANTITY")
@click.option("--recount", is_flag=True, help="Replace what was entered for these items before.")
@as_json_option
def enter(name: str, lines: Sequence[str], *, recount: bool, as_json: bool) -> None:
    """Write down what was found, as in `flask stock count enter MAIN 22423=11`."""
    with transaction() as session:
        body = read(CountEnterSchema, lines)
        found = [line | {"recount": recount} for line in body["lines"]]
        entered = service.enter(session, _id_of(session, name), lines=found, by=Caller.system())
        entries: list[dict[str, Any]] = CountEntriesSchema().dump(entered)["data"]
    shown = entries if as_json else [{name: entry[name] for name in SHOWN_OF_AN_ENTRY} for entry in entries]
    show(shown, title="Entered", as_json=as_json)


@count.command("show")
@count_argument
@click.option("--differing", is_flag=True, help="Only what differs.")
@click.option("--uncounted", is_flag=True, help="Only what nobody has counted.")
@as_json_option
def show_count(name: str, *, differing: bool, uncounted: bool, as_json: bool) -> None:
    """Show what was found, beside what should have been; at most 10,000 items."""
    with transaction() as session:
        found = service.get(session, _id_of(session, name))
        listing = service.lines(session, found.id, differing=differing, uncounted=uncounted)
        rows, _ = listing.page(session, limit=ROWS_SHOWN, after=None)
        lines: list[dict[str, Any]] = CountLineSchema().dump(rows, many=True)
        if not as_json:
            _show(found, title="Count", as_json=False)
    show(
        lines if as_json else [{name: line[name] for name in SHOWN_OF_A_LINE} for line in lines],
        title="Found",
        as_json=as_json,
    )


@count.command("post")
@count_argument
@click.option(
    "--uncounted",
    type=click.Choice(UNCOUNTED),
    default=service.KEEP,
    show_default=True,
    help="What becomes of items that nobody has counted: keep them, or book them away.",
)
@yes_option
@dry_run_option
@as_json_option
def post(name: str, *, uncounted: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Book the differences that were found."""
    with transaction(is_rehearsal=dry_run) as session:
        count_id = _id_of(session, name)
        if uncounted == service.ZERO and not (yes or dry_run):
            missing = service.lines(session, count_id, uncounted=True).count(session, at_most=ROWS_SHOWN)
            click.confirm(f"Book away everything of {missing} items that nobody has counted?", abort=True, err=True)
        posted = service.post(session, count_id, uncounted=uncounted, by=Caller.system())
        _show(posted, title="Would be posted" if dry_run else "Posted", as_json=as_json)


@count.command("cancel")
@count_argument
@as_json_option
def cancel(name: str, *, as_json: bool) -> None:
    """Give a count up; nothing is booked."""
    with transaction() as session:
        cancelled = service.cancel(session, _id_of(session, name), by=Caller.system())
        _show(cancelled, title="Cancelled", as_json=as_json)


def _id_of(session: Session, name: str) -> UUID:
    with suppress(ValueError):
        return UUID(name)
    return service.open_at(session, locations.by_code(session, name).id)


def _show(found: AnyRow, *, title: str, as_json: bool) -> None:
    whole: dict[str, Any] = CountSchema().dump(found)
    show([whole if as_json else {name: whole[name] for name in SHOWN_OF_A_COUNT}], title=title, as_json=as_json)
