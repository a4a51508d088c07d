"""`flask spec`: the documents that are written by the code."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
from flask import current_app
from flask.cli import with_appcontext

from api.rest.catalogues import render_errors, render_events, render_permissions, render_settings
from api.rest.docs import render_document


def _openapi() -> bytes:
    return orjson.dumps(render_document(current_app), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _errors() -> bytes:
    return render_errors().encode()


def _settings() -> bytes:
    return render_settings().encode()


def _permissions() -> bytes:
    return render_permissions(orjson.loads(_openapi())).encode()


def _events() -> bytes:
    return render_events(orjson.loads(_openapi())).encode()


DOCUMENTS = {
    Path("docs/openapi.json"): _openapi,
    Path("docs/errors.md"): _errors,
    Path("docs/configuration.md"): _settings,
    Path("docs/permissions.md"): _permissions,
    Path("docs/event-types.md"): _events,
}


@click.command("spec")
@click.option("--check", is_flag=True, help="Only compare; fail when a file is out of date.")
@with_appcontext
def spec(*, check: bool) -> None:
    """Write the OpenAPI document and the reference pages from the code."""
    for path, render in DOCUMENTS.items():
        rendered = render()
        if not check:
            path.write_bytes(rendered)
            click.echo(f"Wrote {path}.")
        elif not path.exists() or path.read_bytes() != rendered:
            message = f"{path} is out of date; run: make spec"
            raise click.ClickException(message)
