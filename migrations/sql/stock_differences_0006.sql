CREATE FUNCTION stock_differences(item uuid DEFAULT NULL, place uuid DEFAULT NULL)
RETURNS TABLE (
    kind text, item_id uuid, location_id uuid, order_id uuid, transfer_id uuid, reservation_id uuid,
    found bigint, expected bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH ledger AS (
    SELECT item_id, location_id, sum(on_hand_change) AS on_hand, sum(reserved_change) AS reserved,
        sum(value_change) AS value, count(*) AS movements, max(sequence) AS last_sequence, max(occurred_at) AS moved_at
    FROM stock_movements WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place) GROUP BY item_id, location_id
), told AS (
    SELECT item_id, location_id, on_hand, reserved, value, is_late, occurred_at,
        sum(on_hand_change) OVER upto AS ledger_on_hand, sum(reserved_change) OVER upto AS ledger_reserved,
        sum(value_change) OVER upto AS ledger_value,
        max(occurred_at) OVER (upto ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS moved_before
    FROM stock_movements WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place)
    WINDOW upto AS (PARTITION BY item_id, location_id ORDER BY sequence)
), promised AS (
    SELECT item_id, location_id, sum(quantity) AS quantity FROM allocations
    WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place) GROUP BY item_id, location_id
), compared AS (
    SELECT item_id, location_id,
        coalesce(l.on_hand, 0) AS on_hand, coalesce(l.reserved, 0) AS reserved, coalesce(l.version, 0) AS version,
        coalesce(m.on_hand, 0) AS ledger_on_hand, coalesce(m.reserved, 0) AS ledger_reserved,
        coalesce(m.movements, 0) AS movements, coalesce(m.last_sequence, 0) AS last_sequence,
        coalesce(p.quantity, 0) AS promised, coalesce(l.value, 0) AS value, coalesce(m.value, 0) AS ledger_value,
        l.moved_at, m.moved_at AS ledger_moved_at
    FROM (SELECT * FROM stock_levels WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place)) AS l
    FULL JOIN ledger AS m USING (item_id, location_id)
    FULL JOIN promised AS p USING (item_id, location_id)
), held AS (
    SELECT owner_id, line_no, item_id, sum(quantity) AS quantity FROM (
        SELECT owner_id, line_no, item_id, quantity FROM allocations
        WHERE (item IS NULL OR item_id = item) AND place IS NULL
        UNION ALL
        SELECT owner_id, line_no, item_id, quantity FROM stock_backorders
        WHERE (item IS NULL OR item_id = item) AND place IS NULL
    ) AS both_kinds GROUP BY owner_id, line_no, item_id
), ordered AS (
    SELECT owner_id AS order_id, line_no, item_id, quantity FROM held
    WHERE NOT EXISTS (SELECT FROM transfers WHERE id = owner_id)
        AND NOT EXISTS (SELECT FROM reservations WHERE id = owner_id)
), carried AS (
    SELECT owner_id AS transfer_id, line_no, item_id, quantity FROM held
    WHERE EXISTS (SELECT FROM transfers WHERE id = owner_id)
), kept AS (
    SELECT owner_id AS reservation_id, line_no, item_id, quantity FROM held
    WHERE EXISTS (SELECT FROM reservations WHERE id = owner_id)
), under_way AS (
    SELECT transfer_id, line_no, item_id,
        quantity - received_quantity - returned_quantity - lost_quantity AS quantity
    FROM transfer_lines WHERE (item IS NULL OR item_id = item) AND place IS NULL
        AND quantity > received_quantity + returned_quantity + lost_quantity
), owed AS (
    SELECT order_id, line_no, item_id, quantity - cancelled_quantity - shipped_quantity AS quantity
    FROM order_lines WHERE (item IS NULL OR item_id = item) AND place IS NULL AND is_stocked
        AND quantity > cancelled_quantity + shipped_quantity
), wanted AS (
    SELECT reservation_id, line_no, item_id, quantity, expires_at
    FROM reservation_lines JOIN reservations ON id = reservation_id
    WHERE (item IS NULL OR item_id = item) AND place IS NULL AND status = 'held'
), sent AS (
    SELECT shipment_id, item_id, location_id, sum(quantity) AS quantity FROM shipment_lines
    WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place) AND location_id IS NOT NULL
    GROUP BY shipment_id, item_id, location_id
), gone AS (
    SELECT source_id AS shipment_id, item_id, location_id, -sum(on_hand_change) AS quantity FROM stock_movements
    WHERE (item IS NULL OR item_id = item) AND (place IS NULL OR location_id = place) AND kind = 'shipment'
    GROUP BY source_id, item_id, location_id
)
SELECT 'on_hand differs from the ledger' AS kind, item_id, location_id, NULL::uuid AS order_id,
    NULL::uuid AS transfer_id, NULL::uuid AS reservation_id, on_hand::bigint AS found, ledger_on_hand::bigint AS expected
FROM compared WHERE on_hand <> ledger_on_hand
UNION ALL
SELECT 'reserved differs from the ledger', item_id, location_id, NULL, NULL, NULL, reserved, ledger_reserved
FROM compared WHERE reserved <> ledger_reserved
UNION ALL
SELECT 'reserved differs from open promises', item_id, location_id, NULL, NULL, NULL, reserved, promised
FROM compared WHERE reserved <> promised
UNION ALL
SELECT 'the ledger has a gap', item_id, location_id, NULL, NULL, NULL, movements, greatest(version, last_sequence)
FROM compared WHERE movements <> version OR movements <> last_sequence
UNION ALL
SELECT 'a ledger line tells a wrong balance', item_id, location_id, NULL, NULL, NULL, count(*), 0
FROM told WHERE on_hand <> ledger_on_hand OR reserved <> ledger_reserved GROUP BY item_id, location_id
UNION ALL
SELECT 'a cancelled order has units that are not', NULL, NULL, id, NULL, NULL, sum(quantity - cancelled_quantity), 0
FROM orders JOIN order_lines ON order_id = id
WHERE (item IS NULL OR item_id = item) AND place IS NULL AND status = 'cancelled' AND quantity > cancelled_quantity
GROUP BY id
UNION ALL
SELECT 'an order holds other than it owes', item_id, NULL, order_id, NULL, NULL,
    coalesce(ordered.quantity, 0), coalesce(owed.quantity, 0)
FROM ordered FULL JOIN owed USING (order_id, line_no, item_id)
WHERE coalesce(ordered.quantity, 0) <> coalesce(owed.quantity, 0)
UNION ALL
SELECT 'a transfer holds other than is in transit', item_id, NULL, NULL, transfer_id, NULL,
    coalesce(carried.quantity, 0), coalesce(under_way.quantity, 0)
FROM carried FULL JOIN under_way USING (transfer_id, line_no, item_id)
WHERE coalesce(carried.quantity, 0) <> coalesce(under_way.quantity, 0)
UNION ALL
SELECT 'a reservation holds other than it keeps', item_id, NULL, NULL, NULL, reservation_id,
    coalesce(kept.quantity, 0), coalesce(wanted.quantity, 0)
FROM kept FULL JOIN wanted USING (reservation_id, line_no, item_id)
WHERE coalesce(kept.quantity, 0) > coalesce(wanted.quantity, 0)
    OR (coalesce(kept.quantity, 0) < coalesce(wanted.quantity, 0) AND wanted.expires_at > clock_timestamp())
UNION ALL
SELECT 'an order line shipped other than its shipments tell', l.item_id, NULL, l.order_id, NULL, NULL,
    l.shipped_quantity, coalesce(s.quantity, 0)
FROM order_lines AS l LEFT JOIN (
    SELECT order_id, order_line_no, sum(quantity) AS quantity FROM shipment_lines GROUP BY order_id, order_line_no
) AS s ON s.order_id = l.order_id AND s.order_line_no = l.line_no
WHERE (item IS NULL OR l.item_id = item) AND place IS NULL AND l.shipped_quantity <> coalesce(s.quantity, 0)
UNION ALL
SELECT 'an order line took back other than its returns tell', l.item_id, NULL, l.order_id, NULL, NULL,
    l.returned_quantity, coalesce(r.quantity, 0)
FROM order_lines AS l LEFT JOIN (
    SELECT order_id, line_no, sum(resellable_quantity + damaged_quantity + quarantined_quantity) AS quantity
    FROM return_lines GROUP BY order_id, line_no
) AS r ON r.order_id = l.order_id AND r.line_no = l.line_no
WHERE (item IS NULL OR l.item_id = item) AND place IS NULL AND l.returned_quantity <> coalesce(r.quantity, 0)
UNION ALL
SELECT 'the ledger tells other than a shipment', item_id, location_id, NULL, NULL, NULL,
    coalesce(gone.quantity, 0), coalesce(sent.quantity, 0)
FROM sent FULL JOIN gone USING (shipment_id, item_id, location_id)
WHERE coalesce(gone.quantity, 0) <> coalesce(sent.quantity, 0)
UNION ALL
SELECT 'an order was paid other than its payments tell, in ten-thousandths', NULL, NULL, o.id, NULL, NULL,
    (o.paid_total * 10000)::bigint, (coalesce(p.amount, 0) * 10000)::bigint
FROM orders AS o LEFT JOIN (
    SELECT order_id, sum(CASE kind WHEN 'payment' THEN amount ELSE -amount END) AS amount
    FROM payments GROUP BY order_id
) AS p ON p.order_id = o.id
WHERE item IS NULL AND place IS NULL AND o.paid_total <> coalesce(p.amount, 0)
UNION ALL
SELECT 'a value differs from the ledger, in ten-thousandths', item_id, location_id, NULL, NULL, NULL,
    (value * 10000)::bigint, (ledger_value * 10000)::bigint
FROM compared WHERE value <> ledger_value
UNION ALL
SELECT 'a ledger line tells a wrong value', item_id, location_id, NULL, NULL, NULL, count(*), 0
FROM told WHERE value <> ledger_value GROUP BY item_id, location_id
UNION ALL
SELECT 'a late ledger line is not marked as late', item_id, location_id, NULL, NULL, NULL, count(*), 0
FROM told WHERE occurred_at < moved_before AND NOT is_late GROUP BY item_id, location_id
UNION ALL
SELECT 'the last movement was at another time', item_id, location_id, NULL, NULL, NULL, 1, 0
FROM compared WHERE moved_at <> ledger_moved_at OR (moved_at IS NULL AND ledger_moved_at IS NOT NULL)
UNION ALL
SELECT 'a closing differs from the ledger', NULL, c.location_id, NULL, NULL, NULL, c.on_hand,
    coalesce(sum(m.on_hand_change), 0)
FROM (SELECT DISTINCT ON (location_id) * FROM stock_closings ORDER BY location_id, closed_at DESC) AS c
LEFT JOIN stock_movements AS m ON m.location_id = c.location_id AND m.on_hand_change <> 0
    AND m.occurred_at < c.closed_at AND m.recorded_at <= c.known_at
WHERE item IS NULL AND (place IS NULL OR c.location_id = place)
GROUP BY c.location_id, c.on_hand, c.value
HAVING c.on_hand <> coalesce(sum(m.on_hand_change), 0) OR c.value <> coalesce(sum(m.value_change), 0)
$$
