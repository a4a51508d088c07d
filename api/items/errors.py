"""What can go wrong with items."""

from api.core.errors import Conflict, NotFound


class ItemNotFound(NotFound):
    """No item has this id or SKU."""

    code = "item_not_found"
    message = "There is no such item."


class SkuTaken(Conflict):
    """Another item has this SKU, perhaps in other letter case."""

    code = "sku_taken"
    message = "Another item has this SKU; SKUs are unique without regard to upper and lower case."
    field = "sku"
    constraint = "uq_items_sku_lower"
