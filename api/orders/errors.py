"""What can go wrong with orders."""

from api.core.errors import Conflict, Forbidden, NotFound, RuleViolation


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


class PriceNotAllowed(Forbidden):
    """The caller may not set prices by hand."""

    code = "unit_price_not_allowed"
    message = "Leave unit_price out; the catalogue's price applies."


class InvalidTransition(Conflict):
    """The order's status does not allow that."""

    code = "invalid_transition"
    message = "An order that is {status} cannot become {wanted}."
