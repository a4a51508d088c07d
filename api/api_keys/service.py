"""API keys: made, rotated and revoked by people, shown by programs."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.api_keys.errors import (
    LONGEST_DAYS,
    MOST_KEYS,
    AccountClosed,
    ApiKeyNotFound,
    ApiKeyOver,
    ApiKeyReplaced,
    ExpiryOutOfRange,
    ScopeNotForKeys,
    ScopeNotYours,
    TooManyKeys,
)
from api.api_keys.models import ApiKey
from api.api_keys.repository import ApiKeyRepository
from api.audit import service as audit
from api.core.apart import apart
from api.core.caller import Caller
from api.core.scopes import ONLY_FOR_PEOPLE
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.paging import Listing

MARK = "sr_"
"""What every key begins with, so that people and secret scanners know one when they see it."""

PREFIX_BYTES, PREFIX_LENGTH = 8, 12
SECRET_BYTES = 32
_KEY = re.compile(rf"{MARK}(?P<prefix>[a-z2-7]{{12}})_(?P<secret>[\w-]{{43}})", re.ASCII)
_NOBODYS_HASH = bytes(32)
"""What the secret of an unknown key is compared with, so that it takes as long as a wrong secret."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A key as its owner gets it, this once."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    replaces_id: UUID | None
    key: str = field(repr=False)
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A good key that somebody has shown."""

    caller: Caller
    is_use_to_be_noted: bool


def create(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    by: Caller,
    expires_in_days: int | None = None,
    expires_at: datetime | None = None,
    user_id: UUID | None = None,
) -> Issued:
    """Make a key for the caller, or, at the console, for somebody else.

    Raises:
        ScopeNotForKeys, ScopeNotYours: a scope is not to be had.
        ExpiryOutOfRange: the key would have expired already, or lasts too long.
        TooManyKeys: the account has as many as it can have.
        AccountClosed: the account is closed.

    """
    keys, owner_id = ApiKeyRepository(session), user_id or by.own_id
    role = keys.lock_owner(owner_id)
    if role is None:
        raise AccountClosed
    _check_scopes(scopes, held=by.scopes & users.scopes_of(role))
    if expires_in_days is not None:
        expires_at = keys.expiry(days=expires_in_days)
    elif expires_at is not None and not keys.expiry(days=0) < expires_at <= keys.expiry(days=LONGEST_DAYS):
        raise ExpiryOutOfRange
    issued = _issue(keys, ApiKey(user_id=owner_id, name=name, scopes=sorted(set(scopes)), expires_at=expires_at))
    audit.record(session, "api_key.created", by=by, subject_id=issued.id, **_facts(issued))
    users.notify(session, owner_id, what=f"an API key was made for it: {name}")
    return issued


def rotate(session: Session, key_id: UUID, *, overlap_seconds: int, by: Caller) -> Issued:
    """Put a new key in the place of one of the caller's own; the old one is good for the overlap, to change over.

    Raises:
        ApiKeyNotFound: there is no such key, or it is somebody else's.
        ApiKeyOver, ApiKeyReplaced: it has ended, or has been rotated before.
        TooManyKeys: both together are one too many; without an overlap they are not.

    """
    keys = ApiKeyRepository(session)
    keys.lock_owner(by.own_id)
    old = keys.lock(key_id)
    if old is None or old.user_id != by.own_id:  # not even an administrator's: the new key would act as its owner
        raise ApiKeyNotFound
    if not keys.is_live(key_id):
        raise ApiKeyOver
    if keys.is_replaced(key_id):
        raise ApiKeyReplaced
    new = ApiKey(
        user_id=old.user_id, name=old.name, scopes=list(old.scopes), expires_at=old.expires_at, replaces_id=old.id
    )
    keys.end(old, seconds=overlap_seconds)
    issued = _issue(keys, new)
    audit.record(session, "api_key.rotated", by=by, subject_id=issued.id, **_facts(issued), replaces_id=str(key_id))
    return issued


def revoke(session: Session, key_id: UUID, *, by: Caller) -> ApiKey:
    """End a key: one's own, or with `api-keys:all` anybody's. Its next request is refused.

    Raises:
        ApiKeyNotFound: there is no such key, or it is somebody else's.

    """
    keys = ApiKeyRepository(session)
    key = _visible(keys.lock(key_id), by=by)
    if key.revoked_at is None:
        keys.revoke(key)
        audit.record(session, "api_key.revoked", by=by, subject_id=key.id, **_facts(key))
    return key


def get(session: Session, key_id: UUID, *, by: Caller) -> ApiKey:
    """Find a key: one's own, or with `api-keys:all` anybody's.

    Raises:
        ApiKeyNotFound: there is no such key, or it is somebody else's.

    """
    return _visible(ApiKeyRepository(session).get(key_id), by=by)


def listing(session: Session, *, user_id: UUID | None, by: Caller) -> Listing:
    """List keys, those of `user_id` or all: of one's own, or with `api-keys:all` of everybody's."""
    return ApiKeyRepository(session).listing(user_id, owner=None if by.may("api-keys:all") else by.own_id)


def read(session: Session, key: str) -> Shown | None:
    """Tell who shows a key and what it may do now; None when it is not good, for whatever reason.

    A key never may do more than its owner may at this moment.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    row = ApiKeyRepository(session).live(match["prefix"])
    is_right = hmac.compare_digest(_hash(match["secret"]), row.secret_hash if row else _NOBODYS_HASH)
    if row is None or not is_right:
        return None
    scopes = (users.scopes_of(row.role) & frozenset(row.scopes)) - ONLY_FOR_PEOPLE
    caller = Caller(user_id=row.user_id, role=row.role, scopes=scopes, api_key_id=row.id)
    return Shown(caller, is_use_to_be_noted=row.is_stale)


def note_use(session: Session, key_id: UUID) -> None:
    """Note, in a transaction of its own, that a key is in use: whatever becomes of the request, it was."""
    with apart(session) as own:
        ApiKeyRepository(own).touch(key_id)


def _check_scopes(scopes: Sequence[str], *, held: frozenset[str]) -> None:
    for place, scope in enumerate(scopes):
        if scope in ONLY_FOR_PEOPLE:
            raise ScopeNotForKeys(scope=scope, at=f"scopes.{place}")
    for place, scope in enumerate(scopes):
        if scope not in held:
            raise ScopeNotYours(scope=scope, at=f"scopes.{place}")


def _issue(keys: ApiKeyRepository, row: ApiKey) -> Issued:
    if keys.count_live(row.user_id) >= MOST_KEYS:
        raise TooManyKeys
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row.prefix = b32encode(secrets.token_bytes(PREFIX_BYTES)).decode().lower()[:PREFIX_LENGTH]
    row.secret_hash = _hash(secret)
    keys.add(row)
    return Issued(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        replaces_id=row.replaces_id,
        key=f"{MARK}{row.prefix}_{secret}",
    )


def _visible(key: ApiKey | None, *, by: Caller) -> ApiKey:
    if key is None or not (key.user_id == by.user_id or by.may("api-keys:all")):
        raise ApiKeyNotFound
    return key


def _facts(key: ApiKey | Issued) -> dict[str, Any]:
    """Tell what the security log says about a key; the prefix is no secret."""
    return {"user_id": str(key.user_id), "name": key.name, "prefix": key.prefix, "scopes": key.scopes}


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
