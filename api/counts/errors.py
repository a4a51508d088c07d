"""What can go wrong with stock counts."""

from api.core.errors import Conflict, NotFound


class CountNotFound(NotFound):
    """No count has this id."""

    code = "count_not_found"
    message = "There is no such stock count."


class CountOpen(Conflict):
    """The location is being counted already."""

    code = "count_open"
    message = "A count of this location is open; enter into that one, or post or cancel it first."
    field = "location_id"
    constraint = "uq_counts_open"


class InvalidTransition(Conflict):
    """The status of the order, transfer or count does not allow that."""

    code = "invalid_transition"
    message = "A count that is {status} cannot be {wanted}."
