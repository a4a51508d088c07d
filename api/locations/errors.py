"""What can go wrong with locations."""

from api.core.errors import Conflict, NotFound, RuleViolation


class LocationNotFound(NotFound):
    """No location has this id."""

    code = "location_not_found"
    message = "There is no such location."


class LocationUnknown(RuleViolation):
    """A request names a location that does not exist."""

    code = "location_not_found"
    message = "There is no such location."
    field = "location_id"


class CodeTaken(Conflict):
    """Another location has this code, perhaps in other letter case."""

    code = "location_code_taken"
    message = "Another location has this code; codes are unique without regard to upper and lower case."
    field = "code"
    constraint = "uq_locations_code_lower"
