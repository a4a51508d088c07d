"""Accounts as the web sees them: mails to one address are limited, and the settings say what lasts how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from api.accounts import service
from api.auth import throttle
from api.extensions import db
from api.rest import caller, limits
from api.users import service as users

if TYPE_CHECKING:
    from uuid import UUID

    from api.config import Settings
    from api.core.vault import Vault

MAILS, INVITATIONS = "5 per hour", "5 per hour"
"""To one address, whoever asks."""


def sign_up(*, email: str, name: str) -> None:
    """Ask for an account; see `service.sign_up`."""
    service.sign_up(
        db.session(),
        email=email,
        name=name,
        policy=_settings().sign_up,
        may_mail=_may_mail("sign_up", email),
        by=caller.stranger(),
    )


def invite(*, email: str, role: str, name: str | None) -> None:
    """Invite somebody; see `service.invite`.

    Raises:
        RateLimited: the address has been invited again and again.

    """
    users.check_grant(role, by=caller.current())
    limits.claim("invitation", INVITATIONS, email)
    settings = _settings()
    service.invite(
        db.session(),
        email=email,
        role=role,
        name=name,
        policy=settings.sign_up,
        seconds=settings.invitation_seconds,
        by=caller.current(),
    )


def confirm(*, token: str, password: str, name: str | None) -> UUID:
    """Open an account; see `service.confirm`."""
    return service.confirm(
        db.session(),
        token=token,
        password=password,
        name=name,
        policy=_settings().sign_up,
        vault=_vault(),
        by=caller.stranger(),
    )


def forget_password(email: str) -> None:
    """Ask for a new password; see `service.forget_password`."""
    service.forget_password(db.session(), email=email, may_mail=_may_mail("reset", email), by=caller.stranger())


def reset_password(*, token: str, password: str) -> None:
    """Set a new password; see `service.reset_password`."""
    email = service.reset_password(db.session(), token=token, password=password, vault=_vault(), by=caller.stranger())
    throttle.forgive(email)


def change_password(*, current_password: str, new_password: str) -> None:
    """Change the caller's password; wrong guesses at the present one count like those of a login."""
    session, by = db.session(), caller.current()
    with throttle.attempt(session, service.address_of_password(session, by=by)):
        service.check_password(session, password=current_password, by=by)
    service.change_password(session, password=new_password, by=by)


def change_email(email: str) -> None:
    """Ask for another address; see `service.change_email`."""
    service.change_email(db.session(), email=email, may_mail=_may_mail("change", email), by=caller.current())


def send_verification() -> None:
    """Have the caller's address verified; see `service.send_verification`."""
    session, by = db.session(), caller.current()
    email = service.own_address(session, by=by)
    service.send_verification(session, may_mail=_may_mail("verification", email), by=by)


def verify_email(token: str) -> None:
    """Verify an address; see `service.verify_email`."""
    service.verify_email(db.session(), token=token, vault=_vault(), by=caller.stranger())


def _may_mail(letter: str, email: str) -> bool:
    """Tell whether an address has not been sent too much of one kind; whoever asks is not told, or could learn from it.

    Each kind counts apart, or one could use up what somebody else needs to set a new password.
    """
    try:
        limits.claim(f"mail-{letter}", MAILS, email, is_secret=True)
    except limits.RateLimited:
        return False
    return True


def _settings() -> Settings:
    settings: Settings = current_app.extensions["stockroom"]
    return settings


def _vault() -> Vault:
    vault: Vault = current_app.extensions["vault"]
    return vault
