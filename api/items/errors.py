"""What can go wrong with items."""

from api.core.errors import Conflict, NotFound, PreconditionFailed, RuleViolation


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


class BarcodeTaken(Conflict):
    """Another item has this barcode, perhaps with more or fewer zeros in front."""

    code = "barcode_taken"
    message = "Another item has this barcode; barcodes are unique without regard to zeros in front."
    field = "barcode"
    constraint = "uq_items_barcode"


class ItemInUse(Conflict):
    """Stock, an order, a transfer or a count names the item, so it must stay."""

    code = "item_in_use"
    message = "Stock or orders name this item, and must be able to; archive it instead."
    constraint = (
        "fk_stock_levels_item_id",
        "fk_order_lines_item_id",
        "fk_transfer_lines_item_id",
        "fk_count_entries_item_id",
        "fk_reservation_lines_item_id",
        "fk_stock_backorders_item_id",
        "fk_shipment_lines_item_id",
        "fk_return_lines_item_id",
    )


class SkuRepeated(RuleViolation):
    """An earlier row of the same call has this SKU."""

    code = "repeated_sku"
    message = "An earlier row has this SKU, perhaps in other letter case; send one row for each item."
    field = "sku"


class VersionStale(PreconditionFailed):
    """A row names a version of its item that is not the present one."""

    code = "stale_version"
    message = "The item is not at this version; read it again and repeat the change on what you find."
    field = "version"


class UnitFixed(RuleViolation):
    """A row would change what an item's quantities count, or whether it has any."""

    code = "unit_fixed"
    message = "An item's unit, and whether it is stocked, are settled when it is created; create another item."


class CatalogueBusy(Conflict):
    """Others changed the same items over and over."""

    code = "catalogue_busy"
    message = "Others are changing the same items at the same time; nothing was changed. Try again."
    retry_after = 1
