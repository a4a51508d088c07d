"""What can go wrong with stock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.errors import Conflict, Problem, RuleViolation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class InsufficientStock(Conflict):
    """Less is available than was asked for; the details name every shortage."""

    code = "insufficient_stock"
    message = "There is not enough stock for {count} of the items; nothing was changed."

    @classmethod
    def of(cls, shortages: Sequence[Shortage]) -> InsufficientStock:
        """Report every shortage, the first one in front."""
        problems = tuple(shortage.as_problem() for shortage in shortages)
        return cls(at=problems[0].field, problems=problems, count=len(problems))


class Shortage:
    """One item of which less is available than was asked for."""

    def __init__(self, item_id: UUID, *, requested: int, available: int, line: int) -> None:
        """Remember how much was asked for in all, and the first line (from 0) that asks."""
        self.item_id, self.requested, self.available, self.line = item_id, requested, available, line

    def as_problem(self) -> Problem:
        """Say it in the form of the error envelope."""
        message = f"{self.requested} were asked for and {self.available} are available."
        facts = {"item_id": str(self.item_id), "requested": self.requested, "available": self.available}
        return Problem(InsufficientStock.code, message, f"lines.{self.line}.quantity", facts)


class ItemUnknown(RuleViolation):
    """A line names an item that does not exist."""

    code = "item_not_found"
    message = "There is no such item."


class ItemNotStocked(RuleViolation):
    """A line moves stock of an item that has none by nature."""

    code = "item_not_stocked"
    message = "This item is not stocked, so there is nothing to move."


class RepeatedItem(RuleViolation):
    """Two lines move the same item."""

    code = "repeated_item"
    message = "This item is on an earlier line; put the quantities together on one line."
