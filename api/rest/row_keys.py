"""Idempotency keys of rows: what many things in one request are recognised by, each of its own."""

from __future__ import annotations

import hmac
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from flask import current_app, request
from sqlalchemy import ARRAY, Text, any_, cast, text
from sqlalchemy.exc import OperationalError

from api.core import bulk
from api.core.outcomes import Outcome, refusal
from api.core.retry import sqlstate
from api.rest.caller import current
from api.rest.idempotency import (
    LOCK_NOT_AVAILABLE,
    KeyInProgress,
    KeyReused,
    PermissionLost,
    idempotency_keys,
    scopes_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from api.core.errors import DomainError
    from api.core.orm import AnyRow

OF_A_ROW = "row\n"
"""Stands before the keys of rows, so that none is mistaken for the key of a request, which has no line breaks."""

CLAIMS = {"key": "text", "fingerprint": "bytea"}
KEPT = {"key": "text", "body": "bytea"}
_CLAIM = text(f"""
    INSERT INTO idempotency_keys (caller_id, key, fingerprint, scopes)
    SELECT :caller_id, claim.key, claim.fingerprint, CAST(:scopes AS text[]) FROM {bulk.unnest("claim", CLAIMS)}
    ORDER BY claim.key ON CONFLICT DO NOTHING RETURNING key
""")  # noqa: S608  # only names from the tables above are put into the text
_KEEP = text(f"""
    UPDATE idempotency_keys AS kept SET status = 200, body = done.body FROM {bulk.unnest("done", KEPT)}
    WHERE kept.caller_id = :caller_id AND kept.key = done.key
""")  # noqa: S608  # the same


class RowKeys:
    """The keys of the rows of one request, each kept with what became of its row, in the transaction of that.

    A row that is refused has no effect, and frees its key.
    """

    def __init__(self, session: Session, rows: Mapping[int, tuple[str, bytes]]) -> None:
        """Take the key and the content of each row that has a key, by line."""
        self.session, self.caller = session, current()
        secret = current_app.extensions["stockroom"].signing_secret.encode()
        head = f"{request.method} {request.path}\n".encode()
        prints = {line: hmac.digest(secret, head + content, "sha256") for line, (_, content) in rows.items()}
        first: dict[str, int] = {}
        for line, (key, _) in sorted(rows.items()):
            first.setdefault(OF_A_ROW + key, line)
        self._lines = first
        self._prints = prints
        self._claimed: dict[str, int] = {}
        self.repeated = {
            line: first[OF_A_ROW + key] for line, (key, _) in rows.items() if first[OF_A_ROW + key] != line
        }
        """Rows whose key an earlier row of the same request has, and that row."""

    def settled(self, *, dry_run: bool) -> dict[int, Outcome]:
        """Claim the keys that nobody has used; tells what is known about the rows of the others."""
        if not self._lines:
            return {}
        claimed = set() if dry_run else self._claim()
        used = [key for key in self._lines if key not in claimed]
        kept: dict[str, AnyRow | None] = {row.key: row for row in self._kept(used)}
        if not dry_run:
            kept = dict.fromkeys(used) | kept
        return {self._lines[key]: self._again(self._lines[key], row) for key, row in kept.items()}

    def repetitions(self, outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
        """Tell what becomes of rows whose key an earlier row of the request has: the same, if they say the same."""
        return {
            line: replace(outcomes[first], line=line, replayed=not outcomes[first].is_refused)
            if self._prints[line] == self._prints[first]
            else _refused(line, KeyReused)
            for line, first in self.repeated.items()
        }

    def keep(self, outcomes: Mapping[int, Outcome]) -> None:
        """Remember what became of the rows that were applied just now."""
        applied = {key: outcomes[line] for key, line in self._claimed.items()}
        done = [(key, _written(outcome)) for key, outcome in applied.items() if not outcome.is_refused]
        freed = [key for key, outcome in applied.items() if outcome.is_refused]
        if done:
            self.session.execute(
                _KEEP,
                {"caller_id": self.caller.own_id} | bulk.arrays("done", KEPT, done),
            )
        if freed:
            self.session.execute(idempotency_keys.delete().where(*self._are(freed)))

    def _claim(self) -> set[str]:
        """Insert the keys in order, so that two requests with the same keys wait and do not block each other."""
        claims = [(key, self._prints[line]) for key, line in sorted(self._lines.items())]
        facts = {"caller_id": self.caller.own_id, "scopes": scopes_of(self.caller)}
        with _waiting():
            claimed = set(self.session.scalars(_CLAIM, facts | bulk.arrays("claim", CLAIMS, claims)))
        self._claimed.update({key: line for key, line in self._lines.items() if key in claimed})
        return claimed

    def _kept(self, keys: list[str]) -> list[AnyRow]:
        if not keys:
            return []
        return list(self.session.execute(idempotency_keys.select().where(*self._are(keys))))

    def _again(self, line: int, kept: AnyRow | None) -> Outcome:
        """Tell what became of the row when its key was first used, if it is the same row."""
        if kept is None or kept.status is None:
            return _refused(line, KeyInProgress)
        if kept.fingerprint != self._prints[line]:
            return _refused(line, KeyReused)
        if not self.caller.scopes.issuperset(kept.scopes):
            return _refused(line, PermissionLost)
        written: dict[str, Any] = orjson.loads(kept.body)
        return Outcome(line, written["outcome"], written["facts"], replayed=True)

    def _are(self, keys: list[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return idempotency_keys.c.caller_id == self.caller.own_id, idempotency_keys.c.key == any_(
            cast(keys, ARRAY(Text))
        )


def _written(outcome: Outcome) -> bytes:
    return orjson.dumps({"outcome": outcome.outcome, "facts": dict(outcome.facts)})


def _refused(line: int, error: type[DomainError]) -> Outcome:
    return refusal(line, replace(error().problem, field="idempotency_key"))


@contextmanager
def _waiting() -> Iterator[None]:
    """Say that the first request still runs, when waiting for it has taken too long."""
    try:
        yield
    except OperationalError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise KeyInProgress from error
        raise
