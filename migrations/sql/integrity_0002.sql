CREATE VIEW integrity AS
WITH ledger AS (
    SELECT item_id, location_id, sum(on_hand_change) AS on_hand, sum(reserved_change) AS reserved,
        count(*) AS movements, max(sequence) AS last_sequence
    FROM stock_movements GROUP BY item_id, location_id
), told AS (
    SELECT item_id, location_id, on_hand, reserved,
        sum(on_hand_change) OVER upto AS ledger_on_hand, sum(reserved_change) OVER upto AS ledger_reserved
    FROM stock_movements
    WINDOW upto AS (PARTITION BY item_id, location_id ORDER BY sequence)
), promised AS (
    SELECT item_id, location_id, sum(quantity) AS quantity FROM allocations GROUP BY item_id, location_id
), compared AS (
    SELECT item_id, location_id,
        coalesce(l.on_hand, 0) AS on_hand, coalesce(l.reserved, 0) AS reserved, coalesce(l.version, 0) AS version,
        coalesce(m.on_hand, 0) AS ledger_on_hand, coalesce(m.reserved, 0) AS ledger_reserved,
        coalesce(m.movements, 0) AS movements, coalesce(m.last_sequence, 0) AS last_sequence,
        coalesce(p.quantity, 0) AS promised
    FROM stock_levels AS l
    FULL JOIN ledger AS m USING (item_id, location_id)
    FULL JOIN promised AS p USING (item_id, location_id)
), held AS (
    SELECT owner_id AS order_id, line_no, item_id, sum(quantity) AS quantity
    FROM allocations GROUP BY owner_id, line_no, item_id
), owed AS (
    SELECT order_id, line_no, item_id, quantity - cancelled_quantity AS quantity
    FROM order_lines WHERE is_stocked AND quantity > cancelled_quantity
)
SELECT 'on_hand differs from the ledger' AS kind, item_id, location_id, NULL::uuid AS order_id,
    on_hand::bigint AS found, ledger_on_hand::bigint AS expected
FROM compared WHERE on_hand <> ledger_on_hand
UNION ALL
SELECT 'reserved differs from the ledger', item_id, location_id, NULL, reserved, ledger_reserved
FROM compared WHERE reserved <> ledger_reserved
UNION ALL
SELECT 'reserved differs from open promises', item_id, location_id, NULL, reserved, promised
FROM compared WHERE reserved <> promised
UNION ALL
SELECT 'the ledger has a gap', item_id, location_id, NULL, movements, greatest(version, last_sequence)
FROM compared WHERE movements <> version OR movements <> last_sequence
UNION ALL
SELECT 'a ledger line tells a wrong balance', item_id, location_id, NULL, count(*), 0
FROM told WHERE on_hand <> ledger_on_hand OR reserved <> ledger_reserved GROUP BY item_id, location_id
UNION ALL
SELECT 'a cancelled order has units that are not', NULL, NULL, id, sum(quantity - cancelled_quantity), 0
FROM orders JOIN order_lines ON order_id = id
WHERE status = 'cancelled' AND quantity > cancelled_quantity GROUP BY id
UNION ALL
SELECT 'an order holds other than it owes', item_id, NULL, order_id,
    coalesce(held.quantity, 0), coalesce(owed.quantity, 0)
FROM held FULL JOIN owed USING (order_id, line_no, item_id)
WHERE coalesce(held.quantity, 0) <> coalesce(owed.quantity, 0)
