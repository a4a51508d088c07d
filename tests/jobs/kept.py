"""Answers that are kept for repetitions, as the database has them."""

from __future__ import annotations

import psycopg

_KEEP = """
    INSERT INTO idempotency_keys (caller_id, key, fingerprint, created_at)
    VALUES (gen_random_uuid(), %s, '', now() - %s::interval)
"""


def keep(database_url: str, **ages: str) -> None:
    """Keep an answer under each name, given so long ago."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.cursor().executemany(_KEEP, list(ages.items()))


def kept(database_url: str) -> set[str]:
    """Tell the names under which there are answers."""
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return {row[0] for row in connection.execute("SELECT key FROM idempotency_keys")}
