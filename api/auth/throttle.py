"""How often passwords are tried against one account, wherever the attempts come from.

An attempt takes its slots before the password is looked at, and a right password gives them back, so that only wrong
ones count. Windows get longer as failures go on: that slows an attacker and locks nobody out for
long. Networks from
which an account has logged in before have slots of their own, so that its owner is not kept out by attempts made from
elsewhere (OWASP Authentication Cheat Sheet, "device cookies" without the cookie). Accounts that do not exist are
counted alike, or the limit would tell which do.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import current_app

from api.audit import service as audit
from api.auth import service
from api.auth.errors import CredentialsInvalid, OtpInvalid
from api.core.errors import Forbidden
from api.rest import caller, limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from api.config import Settings

ACCOUNT, EVERYBODY = "login-account", "login-everybody"
ONCE_AN_HOUR = "1 per hour"
WRONG = (CredentialsInvalid, OtpInvalid, Forbidden)
"""What counts: a wrong password or code, but neither a missing code nor a database that is away."""


@contextmanager
def attempt(session: Session, email: str | None) -> Iterator[None]:
    """Take the slots of an attempt; return those of the account when it ends well.

    Raises:
        RateLimited: too many have failed.

    """
    settings: Settings = current_app.extensions["stockroom"]
    network = limits.network()
    is_known = service.has_come_from(session, email=email or "", network=network)
    key = f"{email} {network if is_known else ''}"
    try:
        if not is_known:
            limits.claim(EVERYBODY, settings.login_global_limit, "", is_secret=True)
        limits.claim(ACCOUNT, settings.login_account_limit, key, is_secret=True)
    except limits.RateLimited:
        _record_once(session, email, network)
        raise
    try:
        yield
    except WRONG:
        raise
    except BaseException:
        limits.give_back(ACCOUNT, settings.login_account_limit, key)
        raise
    limits.give_back(ACCOUNT, settings.login_account_limit, key)


def forgive(email: str) -> None:
    """Forget what others have guessed, now that the owner has proven to read the account's mail."""
    limits.forget(ACCOUNT, current_app.extensions["stockroom"].login_account_limit, f"{email} ")


def _record_once(session: Session, email: str | None, network: str) -> None:
    """Write the beginning of a series down, not each of its thousands."""
    try:
        limits.claim("audit", ONCE_AN_HOUR, f"{email} {network}", is_secret=True)
    except limits.RateLimited:
        return
    audit.record_refusal(session, "login.limited", by=caller.stranger(), email=email)
