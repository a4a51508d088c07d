"""What would set a difference right. The ledger is the truth; nothing here is done, only said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SET = "UPDATE stock_levels SET {} WHERE item_id = '{{item_id}}' AND location_id = '{{location_id}}';"
_OF_THE_LEDGER = "The ledger itself was tampered with: restore it from a backup, then audit again."

_REMEDIES = {
    "on_hand differs from the ledger": _SET.format("on_hand = {expected}"),
    "reserved differs from the ledger": _SET.format("reserved = {expected}"),
    "a value differs from the ledger, in ten-thousandths": _SET.format("value = {expected} / 10000.0"),
    "the last movement was at another time": _SET.format(
        "moved_at = (SELECT max(occurred_at) FROM stock_movements AS m"
        " WHERE m.item_id = stock_levels.item_id AND m.location_id = stock_levels.location_id)"
    ),
    "a closing differs from the ledger": (
        "DELETE FROM stock_closings WHERE location_id = '{location_id}'; the next night makes them again."
    ),
    "reserved differs from open promises": (
        "Compare the allocations of this level with the orders and transfers that own them; cancel what nobody owes."
    ),
    "an order holds other than it owes": "Cancel order {order_id}, which gives back what it holds, and place it again.",
    "a cancelled order has units that are not": "Look at order {order_id}: its lines are not cancelled with it.",
    "a transfer holds other than is in transit": "Cancel transfer {transfer_id}, and send it again.",
    "a reservation holds other than it keeps": "Release reservation {reservation_id}, and make it again.",
    "an order line shipped other than its shipments tell": "Compare order {order_id} with its shipments.",
    "an order line took back other than its returns tell": "Compare order {order_id} with its returns.",
    "the ledger tells other than a shipment": "Compare the shipments of this item with the ledger lines they caused.",
    "an order was paid other than its payments tell, in ten-thousandths": "Compare order {order_id} with its payments.",
}


def remedy(difference: Mapping[str, Any]) -> str:
    """Say what would set a difference right: a statement where balances are wrong, a step for a person elsewhere."""
    return _REMEDIES.get(difference["kind"], _OF_THE_LEDGER).format(**difference)
