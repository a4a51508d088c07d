"""Idempotency-Key: a repeated request gets the first answer, and its effect happens once.

The key is claimed by a row in the transaction of the effect itself. A second request with the same key waits in the
INSERT until the first has committed (then it replays the stored answer) or rolled back (then it takes its place).
The header follows the IETF draft "The Idempotency-Key HTTP Header Field"; keys are quoted or bare.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response, current_app, request
from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, OperationalError

from api.core import bulk
from api.core.errors import Conflict, Forbidden, Malformed, RuleViolation
from api.core.orm import Base
from api.core.prepared import Prepared, settle
from api.core.retry import sqlstate
from api.rest.caller import current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from api.core.caller import Caller

HEADER = "Idempotency-Key"
KEPT_HEADERS = ("Location", "ETag", "Content-Type")
_CLAIM_ONE = Prepared("""
    INSERT INTO idempotency_keys (caller_id, key, fingerprint, scopes)
    VALUES (:caller_id, :key, :fingerprint, CAST(:scopes AS text[])) ON CONFLICT DO NOTHING RETURNING true
""")
_KEEP_ONE = Prepared("""
    UPDATE idempotency_keys SET status = :status, headers = CAST(:headers AS jsonb), body = :body
    WHERE caller_id = :caller_id AND key = :key
""")
LOCK_NOT_AVAILABLE = "55P03"
_KEY = re.compile(r'"(?P<quoted>[\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|(?P<bare>[\x21\x23-\x7e]{1,255})')

idempotency_keys = Table(
    "idempotency_keys",
    Base.metadata,
    Column("caller_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_idempotency_keys_created_at", "created_at"),
    comment="Answers kept for 24 hours, so that a repeated request is not a second effect",
)


class KeyMissing(Malformed):
    """This installation demands a key on every write."""

    code = "idempotency_key_missing"
    message = "Send an Idempotency-Key header: a fresh random value for each new thing, the same for a repetition."


class KeyMalformed(Malformed):
    """The key is empty, too long or not printable ASCII."""

    code = "idempotency_key_malformed"
    message = "An Idempotency-Key has 1 to 255 printable ASCII characters."


class KeyReused(RuleViolation):
    """The same key came with another request."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for a different request; send a fresh one."


class KeyInProgress(Conflict):
    """The first request with this key has not ended yet."""

    code = "idempotency_in_progress"
    message = "A request with this Idempotency-Key is still being worked on; repeat it shortly."
    retry_after = 1


class PermissionLost(Forbidden):
    """The answer was given to a caller who had permissions that the same caller has no more."""

    code = "permission_lost"
    message = "The first answer was given with permissions that the caller no longer has."


def run_once(session: Session, view: Callable[[], Response]) -> Response:
    """Answer from the kept answer when there is one, else run the view and keep what it answers.

    Raises:
        KeyMissing, KeyMalformed, KeyReused, KeyInProgress, PermissionLost: as their docstrings say.

    """
    key = _read_key()
    if key is None:
        return view()
    caller, fingerprint = current(), _fingerprint()
    try:
        response = _run_claimed(session, view, caller, key=key, fingerprint=fingerprint)
    except _KeyTakenError:
        session.rollback()
        return _replay(session, caller, key=key, fingerprint=fingerprint)
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    answer = {"status": response.status_code, "headers": orjson.dumps(headers).decode(), "body": response.get_data()}
    _KEEP_ONE.later(session, answer | {"caller_id": caller.own_id, "key": key})
    return response


class _KeyTakenError(Exception):
    """Somebody had the key before; whatever the view has done is undone."""


class _Claim:
    """Whether a key is the request's own; that is known when the view's first statement is answered."""

    is_known = False

    def look(self, rows: Sequence[Any]) -> None:
        self.is_known = True
        if not rows:
            raise _KeyTakenError

    def settle(self, session: Session) -> None:
        """Find out, when the view has asked the database nothing."""
        if not self.is_known:
            settle(session)


def _run_claimed(
    session: Session, view: Callable[[], Response], caller: Caller, *, key: str, fingerprint: bytes
) -> Response:
    """Run the view; the key is claimed in the round trip of its first statement, and before its refusal counts.

    Raises:
        _KeyTakenError: it is not the caller's first request with the key.
        KeyInProgress: the first still runs, after so long a wait.

    """
    facts = {"caller_id": caller.own_id, "key": key, "fingerprint": fingerprint, "scopes": scopes_of(caller)}
    claim = _Claim()
    _CLAIM_ONE.later(session, facts, claim.look)
    try:
        try:
            response = view()
        except DBAPIError:
            raise
        except Exception:
            claim.settle(session)
            raise
        claim.settle(session)
    except OperationalError as error:
        if not claim.is_known and sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise KeyInProgress from error
        raise
    return response


def purge(session: Session, *, older_than_hours: int = 24, at_most: int = 50_000) -> int:
    """Forget keys past their time, so many at once; tells how many."""
    age = func.make_interval(0, 0, 0, 0, older_than_hours)
    row: ColumnElement[object] = literal_column("ctid")
    old = (
        select(row).select_from(idempotency_keys).where(idempotency_keys.c.created_at < func.now() - age).limit(at_most)
    )
    result = session.execute(idempotency_keys.delete().where(row.in_(old)))
    return int(result.rowcount)  # type: ignore[attr-defined]  # a DELETE has a row count


def _read_key() -> str | None:
    header = request.headers.get(HEADER)
    if header is None:
        if current_app.extensions["stockroom"].idempotency_key_required:
            raise KeyMissing
        return None
    match = _KEY.fullmatch(header.strip())
    if match is None:
        raise KeyMalformed
    return match["quoted"] or match["bare"]


def _fingerprint() -> bytes:
    """Tell requests apart without keeping what they say: a body may hold a password, so the digest is keyed."""
    secret = current_app.extensions["stockroom"].signing_secret.encode()
    head = f"{request.method} {request.path}?{request.query_string.decode('latin-1')}\n".encode()
    return hmac.digest(secret, head + request.get_data(cache=True), "sha256")


def scopes_of(caller: Caller) -> str:
    """Write down what a caller may do, for whoever repeats the request."""
    return bulk.array("text", sorted(caller.scopes))


def _replay(session: Session, caller: Caller, *, key: str, fingerprint: bytes) -> Response:
    is_this = idempotency_keys.c.caller_id == caller.own_id, idempotency_keys.c.key == key
    kept = session.execute(idempotency_keys.select().where(*is_this)).one_or_none()
    if kept is None or kept.status is None:
        raise KeyInProgress
    if kept.fingerprint != fingerprint:
        raise KeyReused
    if not caller.scopes.issuperset(kept.scopes):
        raise PermissionLost
    response = Response(kept.body, status=kept.status, headers=kept.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response
