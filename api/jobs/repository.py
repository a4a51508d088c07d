"""Every statement that puts work into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# procrastinate's own function, the one its clients call; called here so that the job is part of our transaction.
_DEFER = text("""
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', :task, 0, NULL, NULL, CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1
    ])
""")


def defer(session: Session, task: str, args: dict[str, object]) -> None:
    """Enqueue one task."""
    session.execute(_DEFER, {"task": task, "args": orjson.dumps(args).decode()})
