"""`flask users reset-password` and `flask users invite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from api.accounts import service
from api.accounts.schemas import AddressSchema, InvitationSchema, PasswordSchema
from api.core.caller import Caller
from api.rest.console import parse, show, transaction

if TYPE_CHECKING:
    from api.config import Settings


@click.command("reset-password")
@click.argument("email")
@click.option("--password", "asks", is_flag=True, help="Ask for the new password here instead of making a token.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def reset_password(email: str, *, asks: bool, as_json: bool) -> None:
    """Help somebody who is locked out: print a token for POST /auth/password/reset. Ends all their logins."""
    email = parse(AddressSchema, email=email)["email"]
    password = click.prompt("New password", hide_input=True, confirmation_prompt=True) if asks else None
    shown = {"email": email}
    with transaction() as session:
        if password is None:
            seconds, vault = _settings().reset_seconds, current_app.extensions["vault"]
            token = service.issue_reset(session, email=email, seconds=seconds, vault=vault, by=Caller.system())
            shown["token"] = token
        else:
            values = parse(PasswordSchema, password=password)
            service.replace_password(session, email=email, password=values["password"], by=Caller.system())
    _show_token(shown, as_json=as_json)


@click.command("invite")
@click.argument("email")
@click.option("--role", required=True, type=click.Choice(["customer", "clerk", "manager", "admin"]), help="Its role.")
@click.option("--name", help="The name shown to people; whoever is invited may choose another.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def invite(email: str, role: str, name: str | None, *, as_json: bool) -> None:
    """Invite somebody by mail to open an account."""
    facts = parse(InvitationSchema, email=email, role=role, **({"name": name} if name else {}))
    settings = _settings()
    with transaction() as session:
        service.invite(
            session, **facts, policy=settings.sign_up, seconds=settings.invitation_seconds, by=Caller.system()
        )
    show([{"email": facts["email"], "role": role}], title="Invited", as_json=as_json)


commands = (reset_password, invite)
"""What `flask users` gets from here."""


def _show_token(shown: dict[str, str], *, as_json: bool) -> None:
    """Print a token on a line of its own, where no table breaks it."""
    if as_json:
        show([shown], title="", as_json=True)
        return
    click.echo(f"All logins of {shown['email']} have ended.")
    if "token" in shown:
        click.echo(f"Hand over this token, good once, for POST /api/v1/auth/password/reset:\n{shown['token']}")


def _settings() -> Settings:
    settings: Settings = current_app.extensions["stockroom"]
    return settings
