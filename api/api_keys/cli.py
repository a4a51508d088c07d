"""`flask api-keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from api.api_keys import service
from api.api_keys.schemas import ApiKeyCreateSchema, ApiKeySchema
from api.core.caller import Caller
from api.core.scopes import ONLY_FOR_PEOPLE, SCOPES
from api.rest.console import parse, show, transaction
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from api.api_keys.models import ApiKey

MOST_SHOWN = 1000

api_keys = AppGroup("api-keys", help="What programs show instead of logging in.")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
scope_choice = click.Choice(sorted(SCOPES.keys() - ONLY_FOR_PEOPLE))


@api_keys.command("create")
@click.option("--user", "email", required=True, help="The e-mail address of the account it acts as.")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", required=True, multiple=True, type=scope_choice, help="What it may do; repeatable.")
@click.option("--expires-in-days", type=int, help="How long it is good; left out, until it is revoked.")
@as_json_option
def create(email: str, *, name: str, scopes: tuple[str, ...], expires_in_days: int | None, as_json: bool) -> None:
    """Make a key and print it, this once."""
    options: dict[str, object] = {"name": name, "scopes": list(scopes)}
    if expires_in_days is not None:
        options["expires_in_days"] = expires_in_days
    facts = parse(ApiKeyCreateSchema, **options)
    with transaction() as session:
        issued = service.create(session, **facts, user_id=users.named(session, email).id, by=Caller.system())
    if as_json:
        show([_row(issued) | {"key": issued.key}], title="", as_json=True)
        return
    click.echo(f"Keep this key of {email}, it is shown only now; its id is {issued.id}.\n{issued.key}")


@api_keys.command("list")
@click.option("--user", "email", help="Only those of the account with this e-mail address.")
@as_json_option
def list_keys(email: str | None, *, as_json: bool) -> None:
    """Show keys, the newest first, those that are over included."""
    with transaction() as session:
        listing = service.listing(
            session, user_id=users.named(session, email).id if email else None, by=Caller.system()
        )
        rows, more = listing.page(session, limit=MOST_SHOWN, after=None)
    _show(rows, title="API keys", as_json=as_json)
    if more:
        click.echo(f"There are more than these {MOST_SHOWN}.", err=True)


@api_keys.command("revoke")
@click.argument("key_id", type=click.UUID)
@as_json_option
def revoke(key_id: UUID, *, as_json: bool) -> None:
    """End a key; the next request with it is refused."""
    with transaction() as session:
        key = service.revoke(session, key_id, by=Caller.system())
    _show([key], title="Revoked", as_json=as_json)


def _row(key: ApiKey | service.Issued) -> dict[str, Any]:
    row: dict[str, Any] = ApiKeySchema().dump(key)
    return row


def _show(keys: Iterable[ApiKey], *, title: str, as_json: bool) -> None:
    """Print keys; a table for people has room for the most important only."""
    rows = [_row(key) for key in keys]
    if not as_json:
        names = ("id", "name", "scopes", "expires_at", "revoked_at")
        rows = [{name: row[name] for name in names} | {"scopes": " ".join(row["scopes"])} for row in rows]
    show(rows, title=title, as_json=as_json)
