"""What an installation needs before its first request: its schema, an administrator, and sample data if wanted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

import flask_migrate

from api.app import create_app
from api.core.caller import Caller
from api.core.errors import DomainError
from api.demo.cli import load_sample
from api.extensions import db
from api.preflight import Refusal
from api.users import service as users

if TYPE_CHECKING:
    from api.config import Settings


class Prepared(NamedTuple):
    """What was made: the first administrator's password (None when there was one already), and a word on the sample."""

    password: str | None
    sample: str | None


def prepare(settings: Settings, *, admin_email: str, admin_password: str | None, demo: bool) -> Prepared:
    """Migrate, open the first administrator's account and load the sample, each where it is not done yet."""
    with create_app(settings).app_context():
        flask_migrate.upgrade()
        password = admin_password or secrets.token_urlsafe(12)
        is_new = _open_first_account(admin_email, password)
        sample = load_sample() if demo else None
        db.session.remove()
        db.engine.dispose()
    return Prepared(password if is_new else None, sample)


def _open_first_account(email: str, password: str) -> bool:
    try:
        is_new = users.bootstrap_admin(db.session(), email=email, password=password, by=Caller.system())
    except DomainError as refusal:
        message = f"The first administrator's account cannot be opened. {refusal}"
        raise Refusal(message) from None
    db.session.commit()
    return is_new
