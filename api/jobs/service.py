"""Work for later: enqueued in the transaction of its cause, so that neither happens without the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.jobs import repository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NAMESPACE = "stockroom"
"""What the names of our tasks begin with in the queue."""


def defer(session: Session, task: str, **args: object) -> None:
    """Have a worker run a task soon after the present transaction commits.

    `task` is the name of a function declared with `jobs.app.background`; `args` must be representable in JSON and hold
    no secrets, for they lie in the database.
    """
    repository.defer(session, f"{NAMESPACE}:{task}", args)
