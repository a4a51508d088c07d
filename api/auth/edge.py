"""Logging in as the web does it: attempts are throttled, and the settings say how long a login lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from api.auth import service, throttle
from api.extensions import db
from api.rest import caller
from api.users import service as users

if TYPE_CHECKING:
    from api.config import Settings
    from api.core.vault import Vault


def log_in(email: str, *, password: str, otp: str | None) -> service.Login:
    """Open a login for whoever knows the password; see `service.log_in`."""
    session = db.session()
    with throttle.attempt(session, email):
        return service.log_in(
            session,
            email=email,
            password=password,
            otp=otp,
            lifetimes=_lifetimes(),
            vault=vault(),
            by=caller.stranger(),
        )


def reauthenticate(*, password: str, otp: str | None) -> None:
    """Confirm the caller's login; see `service.reauthenticate`."""
    session, by = db.session(), caller.current()
    _, email = service.login_of(by, email=users.get(session, by.own_id).email)
    with throttle.attempt(session, email):
        service.reauthenticate(session, email=email, password=password, otp=otp, vault=vault(), by=by)


def refresh(token: str) -> service.Login:
    """Exchange a refresh token; see `service.refresh`."""
    return service.refresh(db.session(), token=token, lifetimes=_lifetimes(), vault=vault(), by=caller.stranger())


def vault() -> Vault:
    """Find what makes this installation's tokens."""
    found: Vault = current_app.extensions["vault"]
    return found


def _lifetimes() -> service.Lifetimes:
    settings: Settings = current_app.extensions["stockroom"]
    return service.Lifetimes(
        whole=settings.refresh_token_seconds,
        idle=settings.session_idle_seconds,
        grace=settings.refresh_grace_seconds,
    )
