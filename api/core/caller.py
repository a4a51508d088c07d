"""Who is asking, as services see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from api.core.scopes import SCOPES

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated party behind a request, a command or a task."""

    user_id: UUID | None
    role: str
    scopes: frozenset[str]
    session_id: UUID | None = None
    request_id: str | None = None

    @classmethod
    def system(cls, *, request_id: str | None = None) -> Self:
        """Stand for the installation itself: a command at its console, or a background task."""
        return cls(user_id=None, role="system", scopes=frozenset(SCOPES), request_id=request_id)

    @property
    def own_id(self) -> UUID:
        """The id of the user who asks.

        Raises:
            LookupError: the installation itself asks.

        """
        if self.user_id is None:
            message = "The installation itself has no account."
            raise LookupError(message)
        return self.user_id

    def may(self, scope: str) -> bool:
        """Tell whether the caller holds a scope."""
        return scope in self.scopes
