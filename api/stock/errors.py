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

    def __init__(self, item_id: UUID, *, requested: int, available: int, line: int, sku: str | None = None) -> None:
        """Remember how much was asked for in all, and the first line (from 0) that asks."""
        self.item_id, self.requested, self.available, self.line, self.sku = item_id, requested, available, line, sku

    def as_problem(self) -> Problem:
        """Say it in the form of the error envelope."""
        message = f"{self.requested} were asked for and {self.available} are available."
        facts: dict[str, object] = {"item_id": str(self.item_id), "sku": self.sku}
        facts |= {"requested": self.requested, "available": self.available}
        return Problem(InsufficientStock.code, message, f"lines.{self.line}.quantity", facts)


class NotAllocated(Conflict):
    """Units are to be shipped that no location keeps for the order: they are backordered, or lie elsewhere."""

    code = "not_allocated"
    message = "Less is allocated than was named, for {count} of the lines; nothing was changed."

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> NotAllocated:
        """Report every line, the first one in front."""
        return cls(at=problems[0].field, problems=tuple(problems), count=len(problems))


class InsufficientStockThen(Conflict):
    """A movement dated back would have taken away, at its time or later, what was not available."""

    code = "insufficient_stock_then"
    message = "From {since} until now there was a time when less than that was available; nothing was changed."


class LevelChanged(Conflict):
    """A line was meant for a level that has changed since; the details name every one."""

    code = "stock_level_changed"
    message = "The level is not as expected; nothing was changed. Read it again and decide anew."


class InTheFuture(RuleViolation):
    """Something is said to have happened at a time that has not come."""

    code = "occurred_in_future"
    message = "This time has not come yet; leave it out for what happens now."
    field = "occurred_at"


class TooLongAgo(RuleViolation):
    """A moment lies before any that this product keeps."""

    code = "occurred_too_long_ago"
    message = "Nothing before the year {year} is kept here; check the year."
    field = "occurred_at"


class PastUnknown(RuleViolation):
    """Low levels are asked for at a moment of the past, whose reorder points are not kept."""

    code = "past_unknown"
    message = "Which levels were low in the past is not known; leave out `low` or `as_of`."
    field = "low"


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
