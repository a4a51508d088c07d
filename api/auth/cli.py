"""`flask keys` and `flask sessions`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from api.audit import service as audit
from api.auth import keys as files
from api.auth import service, tokens
from api.core.caller import Caller
from api.rest.console import Refused, show, transaction
from api.users import service as users

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from api.auth.models import AuthSession

MOST_SHOWN = 1000

keys = AppGroup("keys", help="The keys that sign access tokens.")
sessions = AppGroup("sessions", help="Logins that have not ended.")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
algorithm_option = click.option(
    "--algorithm", default="RS256", show_default=True, type=click.Choice(["RS256", "EdDSA"]), help="Kind of key."
)


@keys.command("create")
@algorithm_option
@as_json_option
def create(algorithm: files.Algorithm, *, as_json: bool) -> None:
    """Make the first signing key, or one more."""
    is_first = not tokens.ring().standings()
    kid = files.create(_directory(), algorithm)
    _show_new(kid, as_json=as_json, signs="now" if is_first else f"in {files.SETTLING_SECONDS} seconds")


@keys.command("rotate")
@algorithm_option
@click.option("--at-once", is_flag=True, help="Remove all other keys now: every access token must be refreshed.")
@as_json_option
def rotate(algorithm: files.Algorithm, *, at_once: bool, as_json: bool) -> None:
    """Make a new key that signs in a minute, and remove keys whose last token has run out.

    Running processes notice by themselves. With --at-once, for a key that somebody else may have, the new one signs
    immediately and everything signed before is refused.
    """
    directory, old = _directory(), tokens.ring().standings()
    with transaction() as session:
        audit.record(session, "signing_key.rotated", by=Caller.system(), at_once=at_once)
        kid = files.create(directory, algorithm)
        for key, state in old:
            if at_once or state == "retired":
                files.remove(directory, key.kid)
    _show_new(kid, as_json=as_json, signs="now" if at_once else f"in {files.SETTLING_SECONDS} seconds")


@keys.command("list")
@as_json_option
def list_keys(*, as_json: bool) -> None:
    """Show which key signs, which verify, and which will sign next."""
    rows = [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "made_at": datetime.fromtimestamp(key.made_at, UTC).isoformat() if key.made_at else None,
            "state": state,
        }
        for key, state in tokens.ring().standings()
    ]
    show(rows, title=f"Signing keys in {_directory()}", as_json=as_json)


@sessions.command("list")
@click.option("--user", "email", help="Only those of the account with this e-mail address.")
@as_json_option
def list_sessions(email: str | None, *, as_json: bool) -> None:
    """Show logins, the newest first."""
    with transaction() as session:
        listing = service.listing(
            session, user_id=users.named(session, email).id if email else None, by=Caller.system()
        )
        rows: list[AuthSession] = listing.page(session, limit=MOST_SHOWN, after=None)[0]
    show(
        [
            {
                "id": str(row.id),
                "user_id": str(row.user_id),
                "address": row.address,
                "agent": row.agent,
                "created_at": row.created_at.isoformat(),
                "refreshed_at": row.rotated_at.isoformat(),
            }
            for row in rows
        ],
        title="Logins",
        as_json=as_json,
    )


@sessions.command("revoke")
@click.argument("session_id", type=click.UUID, required=False)
@click.option("--user", "email", help="End all logins of the account with this e-mail address.")
@as_json_option
def revoke(session_id: UUID | None, email: str | None, *, as_json: bool) -> None:
    """End one login, or all of an account; the next request with it is refused."""
    if (session_id is None) == (email is None):
        message = "Name either a login's id or --user EMAIL."
        raise Refused(message)
    with transaction() as session:
        if session_id is not None:
            service.end(session, session_id, by=Caller.system())
            number = 1
        else:
            user_id = users.named(session, email or "").id
            number = service.end_all(session, user_id, by=Caller.system(), reason="ended at the console")
    show([{"ended": number}], title="Ended", as_json=as_json)


def _directory() -> Path:
    return current_app.extensions["stockroom"].keys_dir  # type: ignore[no-any-return]  # Flask's extensions are untyped


def _show_new(kid: str, *, as_json: bool, signs: str) -> None:
    show([{"kid": kid, "directory": str(_directory()), "signs": signs}], title="Made a signing key", as_json=as_json)
