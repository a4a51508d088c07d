"""What can go wrong with transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.errors import Conflict, NotFound, Problem, RuleViolation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class TransferNotFound(NotFound):
    """No transfer has this id."""

    code = "transfer_not_found"
    message = "There is no such transfer."


class SameLocation(RuleViolation):
    """A transfer goes from a location to itself."""

    code = "same_location"
    message = "This is where the units come from; name another location."
    field = "to_location_id"


class InvalidTransition(Conflict):
    """The status of the order, transfer or count does not allow that."""

    code = "invalid_transition"
    message = "A transfer that is {status} cannot be {wanted}; nothing of it is in transit."


class ExceedsInTransit(Conflict):
    """More units are named than are in transit; the details name every such line."""

    code = "exceeds_in_transit"
    message = "More units are named than are in transit, for {count} of the items; nothing was changed."

    @classmethod
    def of(cls, excesses: Sequence[Excess]) -> ExceedsInTransit:
        """Report every excess, the first one in front."""
        problems = tuple(excess.as_problem() for excess in excesses)
        return cls(at=problems[0].field, problems=problems, count=len(problems))


class Excess:
    """One item of which less is in transit than is named."""

    def __init__(self, item_id: UUID, *, requested: int, in_transit: int, line: int) -> None:
        """Remember how much is named, how much there is, and the line (from 0) that names it."""
        self.item_id, self.requested, self.in_transit, self.line = item_id, requested, in_transit, line

    def as_problem(self) -> Problem:
        """Say it in the form of the error envelope."""
        message = f"{self.requested} are named and {self.in_transit} are in transit."
        facts = {"item_id": str(self.item_id), "requested": self.requested, "in_transit": self.in_transit}
        return Problem(ExceedsInTransit.code, message, f"lines.{self.line}.quantity", facts)
