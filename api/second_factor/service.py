"""The second factor of an account: set up, used at logins, switched off."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from api.audit import service as audit
from api.core.vault import UnsealableError
from api.second_factor.errors import CodeWrong, SecondFactorOff, SecondFactorOn
from api.second_factor.repository import SecondFactorRepository
from api.users import service as users

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.vault import Vault
    from api.second_factor.models import SecondFactor

log = structlog.get_logger(__name__)

SECRET_BYTES = 20
DIGITS = 6
STEP_SECONDS = 30
STEPS_AROUND = (0, -1, 1)
"""A clock may be one step off."""

RECOVERY_CODES = 10
RECOVERY_BYTES = 10


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator needs to know: the secret in base 32, and the same as a URI for a QR code."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether logins ask for a code, and how many recovery codes are left."""

    is_on: bool
    recovery_codes_left: int


def standing(session: Session, user_id: UUID) -> Standing:
    """Tell where an account stands."""
    factors = SecondFactorRepository(session)
    return Standing(factors.is_on(user_id), factors.codes_left(user_id))


def begin(session: Session, user_id: UUID, *, label: str, vault: Vault) -> Enrolment:
    """Make a secret for an authenticator; the factor is on only after `confirm`.

    Raises:
        SecondFactorOn: there is one already.

    """
    factors = SecondFactorRepository(session)
    secret = secrets.token_bytes(SECRET_BYTES)
    if not factors.begin(user_id, vault.encrypt(secret)):
        raise SecondFactorOn
    uri = _totp(secret).get_provisioning_uri(label, "Stockroom")
    return Enrolment(b32encode(secret).decode().rstrip("="), uri)


def confirm(session: Session, user_id: UUID, *, otp: str, vault: Vault, by: Caller) -> list[str]:
    """Switch the factor on, now that the authenticator has shown a code; tells the recovery codes, this once.

    Raises:
        SecondFactorOn, SecondFactorOff: there is nothing to confirm.
        CodeWrong: the code is not the present one.

    """
    factors = SecondFactorRepository(session)
    factor = factors.lock(user_id)
    if factor is None:
        raise SecondFactorOff
    if factor.confirmed_at is not None:
        raise SecondFactorOn
    if not _use_otp(session, factor, otp=otp, vault=vault):
        raise CodeWrong
    factor.confirmed_at = factors.now()
    session.flush()
    audit.record(session, "second_factor.enabled", by=by, subject_id=user_id)
    users.notify(session, user_id, what="its second factor was switched on")
    return _new_codes(session, user_id)


def renew_codes(session: Session, user_id: UUID, *, by: Caller) -> list[str]:
    """Make new recovery codes; earlier ones are good no more.

    Raises:
        SecondFactorOff: there is no factor they could stand in for.

    """
    factor = SecondFactorRepository(session).lock(user_id)
    if factor is None or factor.confirmed_at is None:
        raise SecondFactorOff
    audit.record(session, "recovery_codes.renewed", by=by, subject_id=user_id)
    users.notify(session, user_id, what="its recovery codes were renewed")
    return _new_codes(session, user_id)


def switch_off(session: Session, user_id: UUID, *, by: Caller) -> None:
    """Do without from now on.

    Raises:
        SecondFactorOff: there is none.

    """
    factors = SecondFactorRepository(session)
    factor = factors.lock(user_id)
    if factor is None or factor.confirmed_at is None:
        raise SecondFactorOff
    factors.remove(factor)
    audit.record(session, "second_factor.disabled", by=by, subject_id=user_id)
    users.notify(session, user_id, what="its second factor was switched off")


def is_on(session: Session, user_id: UUID) -> bool:
    """Tell whether an account asks for a code at its logins."""
    return SecondFactorRepository(session).is_on(user_id)


def verify(session: Session, user_id: UUID, *, otp: str, vault: Vault, by: Caller) -> bool:
    """Tell whether a code is the authenticator's present one, or a recovery code; each is good once."""
    factors = SecondFactorRepository(session)
    factor = factors.get(user_id)
    if factor is None or factor.confirmed_at is None:
        return False
    if _use_otp(session, factor, otp=otp, vault=vault):
        return True
    if not factors.use_code(user_id, _code_hash(otp)):
        return False
    left = factors.codes_left(user_id)
    audit.record(session, "recovery_code.used", by=by, actor_id=user_id, subject_id=user_id, left=left)
    users.notify(session, user_id, what=f"a recovery code was used to log in; {left} are left")
    return True


def _use_otp(session: Session, factor: SecondFactor, *, otp: str, vault: Vault) -> bool:
    factors = SecondFactorRepository(session)
    try:
        secret = vault.decrypt(factor.secret)
    except UnsealableError:
        log.exception("second_factor_unreadable", user_id=str(factor.user_id))  # SECRET_KEY is another than it was
        return False
    totp, present = _totp(secret), int(factors.now().timestamp()) // STEP_SECONDS
    for step in (present + around for around in STEPS_AROUND):
        try:
            totp.verify(otp.encode(), step * STEP_SECONDS)
        except InvalidToken:
            continue
        return factors.use_step(factor.user_id, step)
    return False


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  # nosec B303  # RFC 6238's default, all that authenticators know


def _new_codes(session: Session, user_id: UUID) -> list[str]:
    codes = [_spell(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    SecondFactorRepository(session).replace_codes(user_id, [_code_hash(code) for code in codes])
    return codes


def _spell(raw: bytes) -> str:
    text = b32encode(raw).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _code_hash(code: str) -> bytes:
    return hashlib.sha256(code.strip().lower().replace("-", "").encode()).digest()
