"""`flask users`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.rest.console import parse, show, transaction
from api.users import service
from api.users.roles import ROLES
from api.users.schemas import UserCreateSchema

users = AppGroup("users", help="People who use the installation.")


@users.command("create")
@click.option("--email", required=True, help="The address to log in with.")
@click.option("--name", required=True, help="The name shown to people.")
@click.option("--role", required=True, type=click.Choice(list(ROLES)), help="What the account may do.")
@click.password_option(help="The password; asked for when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(email: str, name: str, role: str, password: str, *, as_json: bool) -> None:
    """Open an account."""
    facts = parse(UserCreateSchema, email=email, name=name, password=password, role=role)
    with transaction() as session:
        user = service.create(session, **facts, by=Caller.system())
    show([{"id": str(user.id), "email": user.email, "role": user.role}], title="Created", as_json=as_json)
