"""`flask users`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.core.scopes import ROLES
from api.rest.console import parse, show, transaction
from api.users import service
from api.users.schemas import UserCreateSchema

if TYPE_CHECKING:
    from api.users.models import User

MOST_SHOWN = 1000

users = AppGroup("users", help="People who use the installation.")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
role_choice = click.Choice(list(ROLES))


@users.command("create")
@click.option("--email", required=True, help="The address to log in with.")
@click.option("--name", required=True, help="The name shown to people.")
@click.option("--role", required=True, type=role_choice, help="What the account may do.")
@click.password_option(help="The password; asked for when left out.")
@as_json_option
def create(email: str, name: str, role: str, password: str, *, as_json: bool) -> None:
    """Open an account."""
    facts = parse(UserCreateSchema, email=email, name=name, password=password, role=role)
    with transaction() as session:
        user = service.create(session, **facts, by=Caller.system())
    show([_row(user)], title="Created", as_json=as_json)


@users.command("list")
@click.option("--role", type=role_choice, help="Only these.")
@click.option("--active/--inactive", "is_active", default=None, help="Only those who may, or may not, log in.")
@as_json_option
def list_users(role: str | None, *, is_active: bool | None, as_json: bool) -> None:
    """Show accounts, in the order they were opened."""
    with transaction() as session:
        listing = service.listing(session, role=role, is_active=is_active)
        rows, more = listing.page(session, limit=MOST_SHOWN, after=None)
    show([_row(user) for user in rows], title="Users", as_json=as_json)
    if more:
        click.echo(f"There are more than these {MOST_SHOWN}.", err=True)


@users.command("set-role")
@click.argument("email")
@click.argument("role", type=role_choice)
@as_json_option
def set_role(email: str, role: str, *, as_json: bool) -> None:
    """Change what an account may do, from its next request on."""
    _update(email, service.UserChanges(role=role), as_json=as_json)


@users.command("deactivate")
@click.argument("email")
@as_json_option
def deactivate(email: str, *, as_json: bool) -> None:
    """Close an account; its next request is refused, with whatever login or key."""
    _update(email, service.UserChanges(is_active=False), as_json=as_json)


@users.command("activate")
@click.argument("email")
@as_json_option
def activate(email: str, *, as_json: bool) -> None:
    """Open a closed account again."""
    _update(email, service.UserChanges(is_active=True), as_json=as_json)


def _update(email: str, changes: service.UserChanges, *, as_json: bool) -> None:
    with transaction() as session:
        user = service.named(session, email)
        service.update(session, user, changes, by=Caller.system())
    show([_row(user)], title="Changed", as_json=as_json)


def _row(user: User) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "is_active": user.is_active,
    }
