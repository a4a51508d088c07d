"""The time in this process. Deadlines and expiry are decided by the database's clock, never by this one."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)
