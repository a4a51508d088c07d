"""What must survive a refusal: a transaction of its own, beside the one that is about to be rolled back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from api.core.orm import ONLY_READS

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def apart(session: Session) -> Iterator[Session]:
    """Open a session that commits at the end, after rolling back the caller's.

    The caller's work ends first, on purpose: it is about to be refused, it may hold locks that this would wait for,
    and a thread that holds two connections can starve the pool.
    """
    session.rollback()
    session.info.pop(ONLY_READS, None)
    with Session(session.get_bind()) as own:
        yield own
        own.commit()
