"""What can go wrong with shipments."""

from api.core.errors import Conflict, NotFound, RuleViolation


class ShipmentNotFound(NotFound):
    """No shipment of the order has this id, or the order is somebody else's."""

    code = "shipment_not_found"
    message = "There is no such shipment."


class NothingToShip(Conflict):
    """No unit of the order is kept anywhere: it is backordered, or was named at another location."""

    code = "nothing_to_ship"
    message = "Nothing of this order lies ready to be shipped; its pick list tells what waits."


class DeliveredAlready(Conflict):
    """A shipment that has arrived is to arrive again."""

    code = "invalid_transition"
    message = "This shipment has been delivered."


class BeforeItLeft(RuleViolation):
    """A shipment is said to have arrived before it left."""

    code = "delivered_before_shipped"
    message = "It left at {shipped_at}; it cannot have arrived before."
    field = "delivered_at"
