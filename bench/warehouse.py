"""A large installation made up from a seed: so many items, and a year of movements whose ledger adds up.

It is written with COPY, past the services, into an empty database that is migrated; `flask stock audit` agrees with it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Connection

YEAR_ENDS = datetime(2026, 6, 30, tzinfo=UTC)
YEAR = timedelta(days=365)
PLACES = (("MAIN", "Main warehouse"), ("NORTH", "Warehouse north"), ("SOUTH", "Warehouse south"), ("SHOP", "The shop"))
ELSEWHERE_TOO = 5
"""Every so many-th item lies at the other places as well."""

HOT_SHARE, HOT_ITEMS_IN = 0.2, 10_000
"""One item in ten thousand has a share of two tenths of all movements between them."""

LATE_IN = 200
"""One movement in so many was recorded after it should have been."""

RECEIVED_BELOW, RECEIVED, LOST_SHARE = 10, 50, 0.3
CATEGORIES, TAGS = 200, 60
ITEM, PLACE, MOVEMENT = "01980000-0000-7000-8000", "01980000-0000-7000-9000", "01980000-0001-7000-8000"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """What was made."""

    items: int
    movements: int
    words: tuple[str, ...]
    """The words that names are made of, the most frequent first."""


def fill(connection: Connection, *, items: int, movements: int, received: int = RECEIVED, seed: int = 7) -> Warehouse:
    """Fill an empty database in one transaction; tells what was made, or what had been made there before.

    `received` is how many units each receipt brings.
    """
    chance = random.Random(seed)
    words = _vocabulary(chance)
    if connection.execute("SELECT EXISTS (SELECT FROM items)").fetchone() == (True,):
        return Warehouse(items, movements, tuple(words))
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys: it adds up
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        connection.execute("SET LOCAL work_mem = '512MB'")
        connection.execute("SET LOCAL synchronous_commit = off")
        indexes = _drop_indexes(connection)
        _copy(connection, "locations (id, code, name, priority)", _places())
        columns = "id, sku, name, unit_price, cost_price, category, tags, attributes, reorder_point, words"
        _copy(connection, f"items ({columns})", _items(items, words, chance))
        connection.execute(
            "INSERT INTO item_words SELECT DISTINCT word FROM items CROSS JOIN unnest(words) AS said (word)"
        )
        _move(connection, items=items, movements=movements, received=received, chance=chance)
        for definition in indexes:
            connection.execute(definition)
        connection.execute("ALTER INDEX ix_items_words ALTER COLUMN 1 SET STATISTICS 300")  # as it was
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE items, item_words, locations, stock_levels, stock_movements")
    connection.autocommit = False
    return Warehouse(items, movements, tuple(words))


def _vocabulary(chance: random.Random) -> list[str]:
    """Make some thousand words that can be pronounced, so that some look alike."""
    syllables = ["".join(pair) for pair in product("bcdfghklmnprstvw", "aeiou")]
    made = {"".join(chance.choices(syllables, k=chance.choice((2, 3, 3, 4)))) for _ in range(4000)}
    words = sorted(made)
    chance.shuffle(words)
    return words


def _places() -> Iterator[str]:
    for number, (code, name) in enumerate(PLACES):
        yield f"{PLACE}-{number:012x}\t{code}\t{name}\t{number}\n"


def _items(count: int, words: list[str], chance: random.Random) -> Iterator[str]:
    """Name items with three to five words, the frequent ones as frequent as in a language (Zipf)."""
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    for number in range(count):
        name = " ".join(chance.choices(words, cum_weights=weights, k=3 + number % 3)).title()
        sku = f"{10000 + number}{'ABCDEFGH'[number % 8]}"
        category, tag = f"Category {number % CATEGORIES}", f"tag{number % TAGS}"
        known = ",".join({sku.lower(), *name.lower().split(), *category.lower().split(), tag})
        price = f"{1 + number % 90}.{number % 100:02d}"
        colour = '{"colour": "c' + str(number % 50) + '"}'
        yield (
            f"{ITEM}-{number:012x}\t{sku}\t{name}\t{price}\t{price}\t{category}\t{{{tag}}}\t{colour}\t"
            f"{number % 30 if number % 3 == 0 else chr(92) + 'N'}\t{{{known}}}\n"
        )


_DRAFT = (
    "item_id, location_id, sequence, kind, on_hand_change, reserved_change, on_hand, reserved, value_change, value, "
    "is_late, occurred_at"
)
_CREATE_DRAFT = f"CREATE TEMP TABLE draft ON COMMIT DROP AS SELECT {_DRAFT} FROM stock_movements"  # noqa: S608  # names from above
_WRITE_LEDGER = f"""
    INSERT INTO stock_movements (id, {_DRAFT}, recorded_at)
    SELECT CAST('{MOVEMENT}-' || lpad(to_hex(row_number() OVER (ORDER BY occurred_at)), 12, '0') AS uuid),
        {_DRAFT}, occurred_at
    FROM draft ORDER BY occurred_at
"""  # noqa: S608  # the same
"""In the order of time, as a year would leave it."""


def _move(connection: Connection, *, items: int, movements: int, received: int, chance: random.Random) -> None:
    connection.execute(_CREATE_DRAFT)
    columns = "item_id, location_id, on_hand, reserved, value, version, moved_at, reorder_point, is_low"
    keys = [
        (number, place) for number in range(items) for place in range(len(PLACES) if number % ELSEWHERE_TOO == 0 else 1)
    ]
    hot = max(1, items // HOT_ITEMS_IN)
    each = int(movements * (1 - HOT_SHARE)) // len(keys)
    levels: list[str] = []

    def lines() -> Iterator[str]:
        left = movements
        for position, (number, place) in enumerate(keys):
            last = position == len(keys) - 1
            count = left if last else each + (int(movements * HOT_SHARE) // hot if number < hot and place == 0 else 0)
            left -= count
            yield from _level(number, place, count, received, chance, levels)

    _copy(connection, f"draft ({_DRAFT})", lines())
    connection.execute(_WRITE_LEDGER)
    _copy(connection, f"stock_levels ({columns})", levels)


def _level(
    number: int, place: int, count: int, received: int, chance: random.Random, levels: list[str]
) -> Iterator[str]:
    """Make up the ledger of one level: receipts, losses, and promises that are given back."""
    key = f"{ITEM}-{number:012x}\t{PLACE}-{place:012x}"
    cost = 1 + number % 7
    on_hand = reserved = 0
    step = YEAR / (count + 1)
    at = moved_at = YEAR_ENDS - YEAR + step * chance.random()
    for sequence in range(1, count + 1):
        at += step
        change = promise = 0
        if reserved:
            kind, promise = "release", -reserved
        elif on_hand < RECEIVED_BELOW or sequence == count:  # a level is left with no promise that nobody made
            kind, change = "receipt", received
        elif chance.random() < LOST_SHARE:
            kind, change = "adjustment", -chance.randint(1, 5)
        else:
            kind, promise = "reserve", chance.randint(1, 5)
        on_hand += change
        reserved += promise
        happened = at - timedelta(days=2) if sequence > 1 and chance.randrange(LATE_IN) == 0 else at
        is_late = happened < moved_at
        moved_at = max(moved_at, happened)
        yield (
            f"{key}\t{sequence}\t{kind}\t{change}\t{promise}\t{on_hand}\t{reserved}\t{change * cost}\t{on_hand * cost}"
            f"\t{is_late}\t{happened.isoformat()}\n"
        )
    if count:
        point = number % 30 if number % 3 == 0 else None
        is_low = point is not None and on_hand - reserved <= point
        shown = r"\N" if point is None else point
        levels.append(
            f"{key}\t{on_hand}\t{reserved}\t{on_hand * cost}\t{count}\t{moved_at.isoformat()}\t{shown}\t{is_low}\n"
        )


def _copy(connection: Connection, target: str, lines: Iterable[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        for line in lines:
            copy.write(line)


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop what is quicker to build at the end; tells how."""
    found = connection.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid IN ('items'::regclass, 'item_words'::regclass, 'stock_movements'::regclass,"
        " 'stock_levels'::regclass) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [definition for _, definition in found]
