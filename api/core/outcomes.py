"""What becomes of each of many rows that are sent together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.core.errors import Problem

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the row at `line`: a past participle, what it is about, and what was wrong with it."""

    line: int
    outcome: str
    facts: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    replayed: bool = False

    @property
    def is_refused(self) -> bool:
        """Tell whether the row has had no effect."""
        return self.outcome == REFUSED


def refusal(line: int, *problems: Problem, **facts: object) -> Outcome:
    """Refuse a row, which does not touch the others."""
    return Outcome(line, REFUSED, facts, problems)
