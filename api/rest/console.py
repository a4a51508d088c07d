"""The edge where a command's transaction ends, and how commands show things."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson
from marshmallow import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from api.core.errors import DomainError
from api.extensions import db
from api.rest.parser import flatten
from api.rest.problems import DatabaseUnavailable, translate
from api.rest.strict_json import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.orm import Session

    from api.core.errors import Problem
    from api.rest.schemas import Schema


WIDTH_OF_A_PIPE = 240
"""Nobody looks at its edge, and somebody may want to find an id in it."""


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Try everything, keep nothing.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
reference_option = click.option("--reference", help="A document this belongs to.")
occurred_at_option = click.option(
    "--occurred-at", help="When it happened, as in 2026-05-17T09:30:00Z, if that was earlier."
)


class Refused(click.ClickException):
    """Something the person at the console can act on: a sentence, exit code 2, no traceback."""

    exit_code = 2


@contextmanager
def transaction(*, is_rehearsal: bool = False) -> Iterator[Session]:
    """Give a command its session; commit when it ends well, roll back when not, and put refusals into sentences.

    A rehearsal is rolled back in any case: everything is tried and nothing is kept.

    Raises:
        Refused: with what a domain, or an absent database, has to say.

    """
    session = db.session()
    try:
        yield session
        session.rollback() if is_rehearsal else session.commit()
    except DomainError as error:
        session.rollback()
        raise Refused("\n".join(_sentence(problem) for problem in error.problems)) from error
    except SQLAlchemyError as error:
        session.rollback()
        refusal = translate(error)
        if refusal is None:
            raise
        hint = (
            "The database does not answer. Start `flask up` in another terminal; if it runs on another data directory, "
            "name that in DATA_DIR; or set DATABASE_URL."
        )
        raise Refused(hint if isinstance(refusal, DatabaseUnavailable) else str(refusal)) from error


def _sentence(problem: Problem) -> str:
    """Say what is wrong, and on which line where there are many."""
    match (problem.field or "").split("."):
        case ["lines", number, *_]:
            return f"Line {int(number) + 1}: {problem.message}"
        case _:
            return problem.message


def parse(schema: type[Schema], **options: object) -> dict[str, Any]:
    """Read options by the rules that hold for requests.

    Raises:
        Refused: naming every option that is wrong.

    """
    try:
        values: dict[str, Any] = schema().load(options)
    except ValidationError as error:
        sentences = (f"--{problem.field}: {problem.message}" for problem in flatten(error.messages))
        raise Refused("\n".join(sentences)) from error
    return values


def show(rows: Sequence[dict[str, Any]], *, title: str, as_json: bool) -> None:
    """Print rows as a table for people, or as JSON for programs."""
    if as_json:
        click.echo(orjson.dumps(list(rows), default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
        return
    table = Table(title=title)
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE).print(table)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return str(plain(value))
    return "" if value is None else str(value)


def lines_argument(form: str) -> Callable[[Any], Any]:
    """Take lines as arguments, each an item and what happens to it."""
    return click.argument("lines", nargs=-1, required=True, metavar=f"{form}...")


def read(schema: type[Schema], lines: Sequence[str], **facts: object) -> dict[str, Any]:
    """Read lines as `SKU=QUANTITY[@UNIT_COST]`, and facts that were given, by the rules that hold for requests."""
    given: dict[str, object] = {name: str(value) for name, value in facts.items() if value is not None}
    return parse(schema, **given, **({"lines": [_line(line) for line in lines]} if lines else {}))


def _line(text: str) -> dict[str, object]:
    sku, _, rest = text.rpartition("=")
    quantity, at, cost = rest.partition("@")
    units: object = int(quantity) if quantity.lstrip("+-").isascii() and quantity.lstrip("+-").isdigit() else quantity
    return {"sku": sku, "quantity": units} | ({"unit_cost": cost} if at else {})
