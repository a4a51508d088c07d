"""Who is asking, as services see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from api.core.scopes import SCOPES

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """The party behind a request, a command or a task, and where it asks from."""

    user_id: UUID | None
    role: str
    scopes: frozenset[str]
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    is_fresh: bool = False
    """Whether it has shown its credentials within the last quarter of an hour."""

    request_id: str | None = None
    address: str | None = None
    agent: str | None = None

    @classmethod
    def system(cls, *, request_id: str | None = None) -> Self:
        """Stand for the installation itself: a command at its console, or a background task."""
        return cls(user_id=None, role="system", scopes=frozenset(SCOPES), is_fresh=True, request_id=request_id)

    @classmethod
    def stranger(cls, *, request_id: str | None = None, address: str | None = None, agent: str | None = None) -> Self:
        """Stand for somebody who has not shown any credentials: who logs in, signs up, or forgot a password."""
        return cls(
            user_id=None, role="stranger", scopes=frozenset(), request_id=request_id, address=address, agent=agent
        )

    @property
    def own_id(self) -> UUID:
        """The id of the user who asks.

        Raises:
            LookupError: the installation itself asks, or a stranger.

        """
        if self.user_id is None:
            message = f"Nobody with an account asks, but: {self.role}."
            raise LookupError(message)
        return self.user_id

    def may(self, scope: str) -> bool:
        """Tell whether the caller holds a scope."""
        return scope in self.scopes
