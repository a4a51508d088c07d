"""What can go wrong with returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.errors import Conflict, NotFound, RuleViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.orders.service import Excess


class ReturnNotFound(NotFound):
    """No return of the order has this id, or the order is somebody else's."""

    code = "return_not_found"
    message = "There is no such return."


class NothingToReturn(Conflict):
    """Everything that was shipped has come back, or is on its way."""

    code = "nothing_to_return"
    message = "Nothing of this order can come back: nothing was shipped that is not returned, or asked to be, already."


class ExceedsShipped(Conflict):
    """More units are named than can come back; the details name every such line."""

    code = "exceeds_shipped"
    message = "More units are named than can come back, for {count} of the lines; nothing was changed."

    @classmethod
    def of(cls, excesses: Sequence[Excess]) -> ExceedsShipped:
        """Report every excess, the first one in front."""
        problems = tuple(excess.as_problem(cls.code) for excess in excesses)
        return cls(at=problems[0].field, problems=problems, count=len(problems))


class ReturnEnded(Conflict):
    """A return that was received or cancelled is to be so again."""

    code = "invalid_transition"
    message = "A return that is {status} cannot be {done}."


class QuarantineUnknown(RuleViolation):
    """Units are to lie in quarantine, and it is not said where."""

    code = "quarantine_location_required"
    message = "Name the quarantine location; there is not exactly one."
    field = "quarantine_location_id"


class NotAQuarantine(RuleViolation):
    """The location named is none of quarantine."""

    code = "not_a_quarantine_location"
    message = "This location is not of the kind quarantine."
    field = "quarantine_location_id"


class RefundTooLarge(RuleViolation):
    """More would be granted for returns than the order was worth."""

    code = "refund_exceeds_total"
    message = "At most {left} can still be granted for this order."
    field = "refund_amount"
