"""Idempotency-Key: a repeated request gets the first answer, and its effect happens once.

The key is claimed by a row in the transaction of the effect itself. A second request with the same key waits in the
INSERT until the first has committed (then it replays the stored answer) or rolled back (then it takes its place).
The header follows the IETF draft "The Idempotency-Key HTTP Header Field"; keys are quoted or bare.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, g, request
from sqlalchemy import Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import OperationalError

from api.core.errors import Conflict, Malformed, RuleViolation
from api.core.orm import Base
from api.core.retry import sqlstate
from api.rest.caller import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

HEADER = "Idempotency-Key"
KEPT_HEADERS = ("Location", "ETag", "Content-Type")
LOCK_NOT_AVAILABLE = "55P03"
_KEY = re.compile(r'"(?P<quoted>[\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|(?P<bare>[\x21\x23-\x7e]{1,255})')

idempotency_keys = Table(
    "idempotency_keys",
    Base.metadata,
    Column("caller_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
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


def run_once(session: Session, view: Callable[[], Response]) -> Response:
    """Answer from the kept answer when there is one, else run the view and keep what it answers.

    Raises:
        KeyMissing, KeyMalformed, KeyReused, KeyInProgress: as their docstrings say.

    """
    key = _read_key()
    if key is None:
        return view()
    caller_id, fingerprint = current().user_id, _fingerprint()
    if not _claim(session, caller_id=caller_id, key=key, fingerprint=fingerprint):
        return _replay(session, caller_id=caller_id, key=key, fingerprint=fingerprint)
    response = view()
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    session.execute(
        idempotency_keys.update().where(*_is(caller_id, key)),
        {"status": response.status_code, "headers": headers, "body": response.get_data()},
    )
    return response


def purge(session: Session, *, older_than_hours: int = 24) -> int:
    """Forget keys past their time; tells how many."""
    age = func.make_interval(0, 0, 0, 0, older_than_hours)
    result = session.execute(idempotency_keys.delete().where(idempotency_keys.c.created_at < func.now() - age))
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
    head = f"{request.method} {request.path}?{request.query_string.decode('latin-1')}\n".encode()
    return hashlib.sha256(head + request.get_data(cache=True)).digest()


def _is(caller_id: Any, key: str) -> tuple[Any, Any]:
    return idempotency_keys.c.caller_id == caller_id, idempotency_keys.c.key == key


def _claim(session: Session, *, caller_id: Any, key: str, fingerprint: bytes) -> bool:
    claim = insert(idempotency_keys).on_conflict_do_nothing().returning(text("1"))
    try:
        return bool(session.scalar(claim, {"caller_id": caller_id, "key": key, "fingerprint": fingerprint}))
    except OperationalError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise KeyInProgress from error
        raise


def _replay(session: Session, *, caller_id: Any, key: str, fingerprint: bytes) -> Response:
    kept = session.execute(idempotency_keys.select().where(*_is(caller_id, key))).one_or_none()
    if kept is None or kept.status is None:
        raise KeyInProgress
    if kept.fingerprint != fingerprint:
        raise KeyReused
    g.idempotency_replayed = True
    response = Response(kept.body, status=kept.status, headers=kept.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response
