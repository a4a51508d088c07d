"""`flask users second-factor-off`."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from api.core.caller import Caller
from api.rest.console import show, transaction
from api.second_factor import service
from api.users import service as users


@click.command("second-factor-off")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def second_factor_off(email: str, *, as_json: bool) -> None:
    """Switch off the second factor of somebody who has lost both authenticator and recovery codes."""
    with transaction() as session:
        user = users.named(session, email)
        service.switch_off(session, user.id, by=Caller.system())
    show([{"email": user.email, "second_factor": False}], title="Changed", as_json=as_json)
