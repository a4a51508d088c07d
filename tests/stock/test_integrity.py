"""The second wall: what PostgreSQL refuses by itself, and what the audit finds when somebody climbs over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.stock.reading import differences

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.orders.service import Placed
    from tests.factories import Factory

UNGUARD = "ALTER TABLE stock_movements DISABLE TRIGGER stock_movements_are_immutable"
ON_HAND, RESERVED = "on_hand differs from the ledger", "reserved differs from the ledger"
PROMISES, GAP, OWES = (
    "reserved differs from open promises",
    "the ledger has a gap",
    "an order holds other than it owes",
)
VALUE, TOLD_VALUE = "a value differs from the ledger, in ten-thousandths", "a ledger line tells a wrong value"
LATE, MOVED = "a late ledger line is not marked as late", "the last movement was at another time"
CARRIES = "a transfer holds other than is in transit"
CLOSING = "a closing differs from the ledger"
BALANCE, STATUS = "a ledger line tells a wrong balance", "a cancelled order has units that are not"

TAMPERINGS: dict[str, tuple[str, dict[str, tuple[int, int]]]] = {
    "units appear on the shelf": (
        "UPDATE stock_levels SET on_hand = on_hand + 1 WHERE item_id = :item",
        {ON_HAND: (11, 10)},
    ),
    "a balance of promises is raised": (
        "UPDATE stock_levels SET reserved = reserved + 1 WHERE item_id = :item",
        {RESERVED: (5, 4), PROMISES: (5, 4)},
    ),
    "a promise shrinks": (
        "UPDATE allocations SET quantity = quantity - 1 WHERE item_id = :item",
        {PROMISES: (4, 3), OWES: (3, 4)},
    ),
    "a promise vanishes": ("DELETE FROM allocations WHERE item_id = :item", {PROMISES: (4, 0), OWES: (0, 4)}),
    "a ledger line is renumbered": (
        "UPDATE stock_movements SET sequence = 3 WHERE item_id = :item AND sequence = 2",
        {GAP: (2, 3)},
    ),
    "a ledger line is removed": (
        "DELETE FROM stock_movements WHERE item_id = :item AND sequence = 1",
        {ON_HAND: (10, 0), GAP: (1, 2), BALANCE: (1, 0)},
    ),
    "a ledger line is changed": (
        "UPDATE stock_movements SET on_hand_change = 9 WHERE item_id = :item AND sequence = 1",
        {ON_HAND: (10, 9), BALANCE: (2, 0)},
    ),
    "two ledger lines are changed so that they make up for each other": (
        (
            "UPDATE stock_movements SET on_hand_change = on_hand_change + CASE sequence WHEN 1 THEN 1 ELSE -1 END"
            " WHERE item_id = :item"
        ),
        {BALANCE: (1, 0)},
    ),
    "an order is called cancelled": (
        "UPDATE orders SET status = 'cancelled' WHERE id IN (SELECT order_id FROM order_lines WHERE item_id = :item)",
        {STATUS: (4, 0)},
    ),
    "the whole ledger of an item is removed": (
        "DELETE FROM stock_movements WHERE item_id = :item",
        {ON_HAND: (10, 0), RESERVED: (4, 0), GAP: (0, 2)},
    ),
    "an order line is cancelled without giving back": (
        "UPDATE order_lines SET cancelled_quantity = 1 WHERE item_id = :item",
        {OWES: (4, 3)},
    ),
    "a level is worth more": (
        "UPDATE stock_levels SET value = value + 2.5 WHERE item_id = :item",
        {VALUE: (25_000, 0)},
    ),
    "a ledger line is worth more": (
        "UPDATE stock_movements SET value_change = 1 WHERE item_id = :item AND sequence = 1",
        {VALUE: (0, 10_000), TOLD_VALUE: (2, 0)},
    ),
    "a ledger line happened later": (
        "UPDATE stock_movements SET occurred_at = now() + interval '1 hour' WHERE item_id = :item AND sequence = 1",
        {LATE: (1, 0), MOVED: (1, 0)},
    ),
    "the last movement is told to have been earlier": (
        "UPDATE stock_levels SET moved_at = moved_at - interval '1 hour' WHERE item_id = :item",
        {MOVED: (1, 0)},
    ),
    "an order's promise is called a transfer's": (
        (
            "WITH places AS (SELECT array_agg(id ORDER BY id) AS ids FROM locations), made AS ("
            "INSERT INTO transfers (id, from_location_id, to_location_id, status)"
            " SELECT DISTINCT o.order_id, ids[1], ids[2], 'in_transit' FROM order_lines AS o, places"
            " WHERE o.item_id = :item RETURNING 1) SELECT FROM made"
        ),
        {OWES: (0, 4), CARRIES: (4, 0)},
    ),
    "a closing is changed": (
        (
            "INSERT INTO stock_closings SELECT location_id, clock_timestamp(), clock_timestamp(), 11, 0"
            " FROM stock_levels WHERE item_id = :item"
        ),
        {CLOSING: (11, 10)},
    ),
    "an order line grows": ("UPDATE order_lines SET quantity = 5 WHERE item_id = :item", {OWES: (4, 5)}),
}


class TestTheAudit:
    @pytest.mark.usefixtures("order", "noise")
    def test_finds_nothing_where_nobody_tampered(self, app: Flask, session: Session) -> None:
        result = audit(app)

        assert differences(session) == []
        assert result.exit_code == 0
        assert "agree" in result.output

    @pytest.mark.parametrize("name", TAMPERINGS)
    @pytest.mark.usefixtures("noise")
    def test_finds_what_was_done_behind_the_back_of_the_service(
        self, app: Flask, session: Session, item: Item, order: Placed, name: str
    ) -> None:
        statement, expected = TAMPERINGS[name]
        session.execute(text(UNGUARD))
        session.execute(text(statement), {"item": item.id})

        result = audit(app, "--json")

        found = json.loads(result.stdout)
        assert result.exit_code == 1
        assert {row["kind"]: (row["found"], row["expected"]) for row in found} == expected
        assert {row["item_id"] for row in found if row["kind"] not in {STATUS, CLOSING}} <= {str(item.id)}
        assert {row["order_id"] for row in found if row["kind"] == OWES} <= {str(order.id)}

    def test_shows_people_a_table(self, app: Flask, session: Session, item: Item) -> None:
        session.execute(text(TAMPERINGS["units appear on the shelf"][0]), {"item": item.id})

        result = audit(app)

        assert result.exit_code == 1
        assert "Differences" in result.output

    def test_shows_programs_an_empty_list_where_all_is_well(self, app: Flask, make: Factory) -> None:
        make.item(stock=1)

        result = audit(app, "--json")

        assert (result.exit_code, json.loads(result.stdout)) == (0, [])

    def test_every_kind_of_difference_is_tried(self) -> None:
        assert {kind for _, expected in TAMPERINGS.values() for kind in expected} == {
            ON_HAND,
            RESERVED,
            PROMISES,
            GAP,
            OWES,
            BALANCE,
            STATUS,
            VALUE,
            TOLD_VALUE,
            LATE,
            MOVED,
            CARRIES,
            CLOSING,
        }


class TestTheLedger:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE stock_movements SET on_hand_change = on_hand_change + 1",
            "UPDATE stock_movements SET reason = 'found' WHERE false",
            "DELETE FROM stock_movements",
            "TRUNCATE stock_movements",
            "TRUNCATE stock_levels CASCADE",
            "INSERT INTO stock_movements SELECT * FROM stock_movements ON CONFLICT (id) DO UPDATE SET on_hand = 0",
        ],
    )
    def test_refuses_every_change_even_to_a_superuser(self, session: Session, order: Placed, statement: str) -> None:
        before = session.execute(text("SELECT t::text FROM stock_movements AS t ORDER BY 1")).all()

        with pytest.raises(DBAPIError) as refusal, session.begin_nested():
            session.execute(text(statement))

        assert isinstance(refusal.value.orig, errors.RestrictViolation), order
        assert session.execute(text("SELECT t::text FROM stock_movements AS t ORDER BY 1")).all() == before

    def test_refuses_a_second_line_with_the_same_number(self, session: Session, item: Item) -> None:
        repeat = """
            INSERT INTO stock_movements (id, item_id, location_id, sequence, kind, on_hand_change, reserved_change,
                on_hand, reserved)
            SELECT gen_random_uuid(), item_id, location_id, sequence, kind, on_hand_change, reserved_change, on_hand,
                reserved FROM stock_movements WHERE item_id = :item
        """

        with pytest.raises(DBAPIError) as refusal, session.begin_nested():
            session.execute(text(repeat), {"item": item.id})

        assert isinstance(refusal.value.orig, errors.UniqueViolation)


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        ("ck_stock_levels_on_hand_not_negative", "UPDATE stock_levels SET on_hand = -1, reserved = -1"),
        ("ck_stock_levels_reserved_within_on_hand", "UPDATE stock_levels SET reserved = on_hand + 1"),
        ("ck_stock_levels_reserved_within_on_hand", "UPDATE stock_levels SET reserved = -1"),
        ("ck_allocations_quantity_positive", "UPDATE allocations SET quantity = 0"),
        ("ck_order_lines_quantity_positive", "UPDATE order_lines SET quantity = 0"),
        ("ck_order_lines_parts_within_quantity", "UPDATE order_lines SET cancelled_quantity = quantity + 1"),
        ("ck_order_lines_parts_within_quantity", "UPDATE order_lines SET cancelled_quantity = -1"),
        ("ck_order_lines_unit_price_not_negative", "UPDATE order_lines SET unit_price = -0.0001"),
        ("ck_orders_parts_within_total", "UPDATE orders SET total = -0.0001"),
        ("ck_orders_parts_within_total", "UPDATE orders SET cancelled_total = total + 0.0001"),
        ("ck_orders_status_known", "UPDATE orders SET status = 'lost'"),
        ("ck_stock_movements_kind_known", "UPDATE stock_movements SET kind = 'theft'"),
        ("ck_stock_movements_changes_something", "UPDATE stock_movements SET on_hand_change = 0, reserved_change = 0"),
        ("ck_stock_movements_balance_possible", "UPDATE stock_movements SET reserved = on_hand + 1"),
        ("fk_allocations_item_id", "UPDATE allocations SET item_id = gen_random_uuid()"),
        ("fk_order_lines_item_id", "UPDATE order_lines SET item_id = gen_random_uuid()"),
        ("fk_stock_movements_item_id", "UPDATE stock_movements SET item_id = gen_random_uuid()"),
        ("fk_stock_levels_item_id", "INSERT INTO stock_levels SELECT gen_random_uuid(), id FROM locations"),
    ],
)
@pytest.mark.usefixtures("order")
def test_the_database_refuses_what_the_rules_forbid(session: Session, constraint: str, statement: str) -> None:
    session.execute(text(UNGUARD))

    with pytest.raises(DBAPIError) as refusal, session.begin_nested():
        session.execute(text(statement))

    assert isinstance(refusal.value.orig, errors.IntegrityError)
    assert refusal.value.orig.diag.constraint_name == constraint


def audit(app: Flask, *options: str) -> Result:
    return app.test_cli_runner().invoke(args=["stock", "audit", *options])


@pytest.fixture
def item(make: Factory) -> Item:
    """Ten of these lie at one place."""
    return make.item(stock=10)


@pytest.fixture
def order(make: Factory, item: Item) -> Placed:
    """Four of the ten are promised."""
    return make.order((item, 4))


@pytest.fixture
def noise(make: Factory) -> None:
    """Another item, level and order, that nobody touches."""
    make.order((make.item(stock=8), 3))
