"""What can go wrong with reservations."""

from __future__ import annotations

from api.core.errors import Conflict, Forbidden, NotFound, Problem, RuleViolation


class ReservationNotFound(NotFound):
    """No reservation has this id, or it is somebody else's."""

    code = "reservation_not_found"
    message = "There is no such reservation."


class ReservationEnded(Conflict):
    """It keeps nothing any more: it was released, it became an order, or its time was over."""

    code = "reservation_ended"
    message = "This reservation is {status} and keeps nothing any more; make a new one."


class ExpiryTooEarly(RuleViolation):
    """An extension would end before the reservation does."""

    code = "expiry_too_early"
    message = "It is kept until {expires_at} already; name a longer time, or release it."
    field = "ttl_seconds"


class KeptTooLong(RuleViolation):
    """An extension would keep units longer than any reservation does."""

    code = "reservation_too_long"
    message = "A reservation lasts {days} days at most, from when it was made; order, or make a new one."
    field = "ttl_seconds"


class ReservationLimitReached(Conflict):
    """A customer would keep more than one may."""

    code = "reservation_limit_reached"
    message = (
        "A customer keeps at most {allowed} {what} at once; {held} are kept and {requested} more asked for. Release or "
        "order some first."
    )

    @classmethod
    def of(cls, what: str, *, held: int, requested: int, allowed: int) -> ReservationLimitReached:
        """Tell which limit it is, of units or of reservations, and the numbers."""
        refusal = cls(what=what, held=held, requested=requested, allowed=allowed)
        facts: dict[str, object] = {"limit": what, "held": held, "requested": requested, "allowed": allowed}
        refusal.problems = (Problem(cls.code, refusal.problem.message, None, facts),)
        return refusal


class CustomerUnknown(RuleViolation):
    """A reservation is made for a customer who does not exist."""

    code = "customer_not_found"
    message = "There is no such user; leave customer_id out for a guest."
    field = "customer_id"


class FieldNotAllowed(Forbidden):
    """The caller may not decide that."""

    code = "field_not_allowed"
    message = "Leave {name} out; it takes the permission {scope}."


class ItemArchived(RuleViolation):
    """A line names an item that is no longer sold."""

    code = "item_archived"
    message = "The item {name} is no longer sold."
