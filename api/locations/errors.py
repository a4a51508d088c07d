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


class LocationArchived(Conflict):
    """Stock would come to a location that is no longer used."""

    code = "location_archived"
    message = "This location is archived; restore it first, or name another one."
    field = "location_id"


class LocationReserved(RuleViolation):
    """A request names the location that stands for the road; only transfers put stock there."""

    code = "location_reserved"
    message = "This location stands for goods in transit; only transfers move stock there and away."
    field = "location_id"


class LocationDoesNotSell(RuleViolation):
    """An order names a location whose stock is not for sale."""

    code = "location_does_not_sell"
    message = "Orders are not served from a location of this kind; name a warehouse or a store."
    field = "location_id"


class LocationNotEmpty(Conflict):
    """A location with stock cannot be archived."""

    code = "location_not_empty"
    message = "There is still stock here; transfer it or adjust it away, then archive."
    constraint = "ck_locations_archived_when_empty"


class LocationInUse(Conflict):
    """The ledger, a count, a transfer or an order names the location, so it must stay."""

    code = "location_in_use"
    message = "Stock has been here, and the ledger must be able to name the place; archive it instead."
    constraint = (
        "fk_stock_levels_location_id",
        "fk_transfers_from_location_id",
        "fk_transfers_to_location_id",
        "fk_counts_location_id",
        "fk_stock_backorders_location_id",
        "fk_shipment_lines_location_id",
        "fk_orders_location_id",
    )
