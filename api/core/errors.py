"""What can go wrong, said without HTTP. `rest.problems` gives each kind its status."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, a sentence that helps, and the field it is about."""

    code: str
    message: str
    field: str | None = None
    facts: dict[str, object] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Give the form it takes in `details` of the error envelope."""
        return {"code": self.code, "message": self.message, "field": self.field, **self.facts}


class DomainError(Exception):
    """A refusal a caller can act on.

    Subclasses set `code` and `message` (a template filled from keyword arguments) and derive from one of the kinds
    below. A subclass that names a database `constraint`, or several, is also what a violation of them turns into.
    """

    code: ClassVar[str]
    message: ClassVar[str]
    field: ClassVar[str | None] = None
    constraint: ClassVar[str | tuple[str, ...] | None] = None
    retry_after: ClassVar[int | None] = None
    """Seconds after which a repetition makes sense."""

    def __init__(self, *, at: str | None = None, problems: tuple[Problem, ...] = (), **facts: object) -> None:
        """Fill the message's placeholders from `facts`; `at` points at the field where the class cannot know it."""
        text = self.message.format(**facts)
        super().__init__(text)
        self.problem = Problem(self.code, text, at or self.field)
        self.problems = problems or (self.problem,)

    @classmethod
    def constraints(cls) -> tuple[str, ...]:
        """Name the database constraints it stands for."""
        return (cls.constraint,) if isinstance(cls.constraint, str) else cls.constraint or ()


class Malformed(DomainError):
    """The request cannot be understood."""


class Unauthenticated(DomainError):
    """Nobody known is asking."""


class Forbidden(DomainError):
    """The caller is known and not allowed."""


class NotFound(DomainError):
    """There is no such thing, or it is somebody else's."""


class Gone(DomainError):
    """It was there, and is kept no longer."""


class Conflict(DomainError):
    """The present state does not allow it."""


class PreconditionFailed(DomainError):
    """The caller's copy is out of date."""


class PreconditionRequired(DomainError):
    """The caller must say which copy it is changing."""


class UnsupportedMedia(DomainError):
    """The body comes in a form that is not read here."""


class RuleViolation(DomainError):
    """The input breaks a rule."""


class Busy(DomainError):
    """Not now; the same request may succeed later."""

    retry_after = 1


class TooMany(DomainError):
    """The caller asks too often."""
