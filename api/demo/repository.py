"""The statements of loading that belong to no single domain: before it, and the proof after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

LOADING = 7_226_010_001
"""The advisory lock of whoever loads."""

_BIG_TABLES = ("items", "orders", "order_lines", "stock_levels", "stock_movements", "allocations")

_FIGURES = text("""
    SELECT count(DISTINCT o.id) AS orders, count(*) AS lines, count(DISTINCT l.item_id) AS items,
        coalesce(sum(l.quantity), 0) AS units, coalesce(sum(l.cancelled_quantity), 0) AS units_cancelled,
        coalesce(sum(l.quantity * l.unit_price), 0) AS gross
    FROM orders AS o JOIN order_lines AS l ON l.order_id = o.id
    WHERE o.reference = ANY(:references)
""")


def be_alone(session: Session) -> bool:
    """Make sure nobody else loads until this transaction ends."""
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOADING}))


def take_time(session: Session) -> None:
    """Let this transaction take as long as it needs; the usual limits are those of a request."""
    session.execute(text("SET LOCAL statement_timeout = 0"))
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def has_data(session: Session) -> bool:
    """Tell whether anybody has put anything in already."""
    return bool(session.scalar(text("SELECT EXISTS (SELECT FROM items) OR EXISTS (SELECT FROM orders)")))


def loaded(session: Session, references: Collection[str]) -> tuple[int, str]:
    """Count the orders with such references, and give one of them for an example."""
    query = text(
        "SELECT count(*) AS found, coalesce(min(reference), '') AS example FROM orders WHERE reference = ANY(:r)"
    )
    row = session.execute(query, {"r": list(references)}).one()
    return row.found, row.example


def figures(session: Session, references: Collection[str]) -> AnyRow:
    """Add up what the orders with such references hold, as the database has it."""
    return session.execute(_FIGURES, {"references": list(references)}).one()


def analyze(session: Session) -> None:
    """Tell the planner about the new contents of the big tables."""
    session.execute(text(f"ANALYZE {', '.join(_BIG_TABLES)}"))
