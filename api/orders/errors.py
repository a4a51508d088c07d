"""What can go wrong with orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.errors import Conflict, Forbidden, NotFound, Problem, RuleViolation

if TYPE_CHECKING:
    from collections.abc import Sequence


class OrderNotFound(NotFound):
    """No order has this id, or it is somebody else's."""

    code = "order_not_found"
    message = "There is no such order."


class ItemUnknown(RuleViolation):
    """A line names an item that does not exist."""

    code = "item_not_found"
    message = "There is no item {name}."


class ItemArchived(RuleViolation):
    """A line names an item that is no longer sold."""

    code = "item_archived"
    message = "The item {name} is no longer sold."


class LineUnknown(RuleViolation):
    """A line is named that the order does not have."""

    code = "order_line_not_found"
    message = "The order has no such line; show it to see which it has."


class CustomerUnknown(RuleViolation):
    """An order is placed for a customer who does not exist."""

    code = "customer_not_found"
    message = "There is no such user; leave customer_id out for a guest."
    field = "customer_id"


class PriceNotAllowed(Forbidden):
    """The caller may not set prices by hand."""

    code = "unit_price_not_allowed"
    message = "Leave unit_price out; the catalogue's price applies."


class FieldNotAllowed(Forbidden):
    """The caller may not decide that."""

    code = "field_needs_permission"
    message = "Leave {name} out; it takes the permission {scope}."


class DiscountTooLarge(RuleViolation):
    """The discounts are more than what is ordered."""

    code = "discount_too_large"
    message = "The discounts are larger than what is ordered; an order cannot cost less than nothing."
    field = "discounts"


class AmountTooLarge(RuleViolation):
    """An order's total is larger than any that can be kept."""

    code = "amount_too_large"
    message = "The order's total is too large; split it into several orders."
    field = "lines"


class ChargedByHand(Conflict):
    """A customer changes a part of an order for which discounts or taxes were worked out."""

    code = "charged_by_hand"
    message = (
        "Discounts or taxes were worked out for this order as it is; ask the shop to change it, or cancel it whole."
    )


class InvalidTransition(Conflict):
    """The order's status does not allow that."""

    code = "invalid_transition"
    message = "An order that is {status} cannot be {done}."


class AlreadyShipped(Conflict):
    """Lines of an order are to be changed of which something has been shipped."""

    code = "already_shipped"
    message = "Something of this order has been shipped, so its lines stay as they are; cancel what is outstanding."


class ExceedsOutstanding(Conflict):
    """More units are named than are outstanding; the details name every such line."""

    code = "exceeds_outstanding"
    message = "More units are named than are outstanding, for {count} of the lines; nothing was changed."

    @classmethod
    def of(cls, excesses: Sequence[Excess]) -> ExceedsOutstanding:
        """Report every excess, the first one in front."""
        problems = tuple(excess.as_problem(cls.code) for excess in excesses)
        return cls(at=problems[0].field, problems=problems, count=len(problems))


class Excess:
    """A line of a request that names more units than an order can give."""

    def __init__(self, line: int, *, requested: int, available: int) -> None:
        """Remember the line (from 0), how much it names, and how much there is."""
        self.line, self.requested, self.available = line, requested, available

    def as_problem(self, code: str) -> Problem:
        """Say it in the form of the error envelope."""
        message = f"{self.requested} are named and there are {self.available}."
        facts: dict[str, object] = {"requested": self.requested, "available": self.available}
        return Problem(code, message, f"lines.{self.line}.quantity", facts)
