"""`flask spec`."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
from flask import current_app
from flask.cli import with_appcontext

from api.rest.docs import render_document

DOCUMENT = Path("docs/openapi.json")


@click.command("spec")
@click.option("--check", is_flag=True, help="Only compare; fail when the file is out of date.")
@with_appcontext
def spec(*, check: bool) -> None:
    """Write the OpenAPI document to docs/openapi.json."""
    rendered = orjson.dumps(render_document(current_app), option=orjson.OPT_INDENT_2) + b"\n"
    if not check:
        DOCUMENT.write_bytes(rendered)
        click.echo(f"Wrote {DOCUMENT}.")
    elif DOCUMENT.read_bytes() != rendered:
        message = f"{DOCUMENT} is out of date; run: make spec"
        raise click.ClickException(message)
