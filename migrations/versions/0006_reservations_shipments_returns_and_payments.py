"""Take orders from promise to return: add reservations, backorders, shipments, returns and payments.

Stop the version before while this runs, and for good: it knows nothing of the totals and promises that are added.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-23 02:00:00+00:00
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from iso4217 import Currency
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(24, 4)

OLD_KINDS = "kind IN ('receipt', 'adjustment', 'transfer', 'count', 'reserve', 'release')"
KINDS = "kind IN ('receipt', 'adjustment', 'transfer', 'count', 'shipment', 'return', 'reserve', 'release')"
OLD_STATUSES = "status IN ('placed', 'cancelled')"
STATUSES = "status IN ('placed', 'on_hold', 'partially_shipped', 'shipped', 'delivered', 'returned', 'cancelled')"
PARTS_WITHIN_QUANTITY = (
    "least(cancelled_quantity, shipped_quantity, delivered_quantity, returned_quantity) >= 0"
    " AND cancelled_quantity + shipped_quantity <= quantity"
    " AND greatest(delivered_quantity, returned_quantity) <= shipped_quantity"
)
PARTS_WITHIN_TOTAL = "least(cancelled_total, refund_total) >= 0 AND cancelled_total + refund_total <= total"
TOTALS = ("subtotal", "discount_total", "tax_total", "cancelled_total", "refund_total", "paid_total")

HALF_EVEN = """CASE WHEN mod(abs(lines.ordered - lines.cancelled) * power(10::numeric, :places), 1) = 0.5
    THEN 2 * round((lines.ordered - lines.cancelled) * power(10::numeric, :places) / 2) / power(10::numeric, :places)
    ELSE round(lines.ordered - lines.cancelled, :places) END"""
"""PostgreSQL rounds halves away from zero; totals here are rounded half to even."""

ADD_UP = """
    UPDATE orders SET subtotal = lines.ordered,
        cancelled_total = CASE WHEN lines.ordered = lines.cancelled THEN total
            ELSE least(total, greatest(0, total - {rounded})) END
    FROM (
        SELECT order_id, sum(quantity * unit_price) AS ordered, sum(cancelled_quantity * unit_price) AS cancelled
        FROM order_lines GROUP BY order_id
    ) AS lines WHERE lines.order_id = orders.id AND currency = :currency
"""

REFUSE_TO_GO_BACK = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM reservations) OR EXISTS (SELECT FROM shipments) OR EXISTS (SELECT FROM returns)
            OR EXISTS (SELECT FROM payments) OR EXISTS (SELECT FROM stock_backorders)
            OR EXISTS (SELECT FROM orders WHERE status NOT IN ('placed', 'cancelled'))
        THEN
            RAISE EXCEPTION 'the revision before knows no reservations, backorders, holds, shipments, returns and '
                'payments, and there are some';
        END IF;
    END $$
"""
"""Units that have left cannot be put back by forgetting that they have."""


def upgrade() -> None:
    """Go forward."""
    _let_items_be_backordered()
    _add_reservations()
    _describe_orders()
    _describe_stock()
    _add_shipments()
    _add_returns()
    _add_payments()
    _verify_with("stock_differences_0006.sql")


def _verify_with(name: str) -> None:
    op.execute("DROP VIEW integrity")
    op.execute("DROP FUNCTION stock_differences")
    op.execute((SQL / name).read_text(encoding="utf-8"))
    op.execute("CREATE VIEW integrity AS SELECT * FROM stock_differences()")


def _let_items_be_backordered() -> None:
    op.add_column("items", sa.Column("backorders", sa.String(length=8), server_default="deny", nullable=False))
    op.add_column("items", sa.Column("lead_time_days", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_items_backorders_known"), "items", "backorders IN ('deny', 'allow')")
    op.create_check_constraint(op.f("ck_items_lead_time_days_not_negative"), "items", "lead_time_days >= 0")


def _add_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("reference", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        *_identity(),
        sa.CheckConstraint(
            "status IN ('held', 'released', 'ordered', 'lapsed')", name=op.f("ck_reservations_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'ordered') = (order_id IS NOT NULL)", name=op.f("ck_reservations_ordered_with_order")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["users.id"], name=op.f("fk_reservations_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
    )
    op.create_index("ix_reservations_customer_id_id", "reservations", ["customer_id", "id"])
    op.create_index(
        "ix_reservations_reference", "reservations", ["reference", "id"], postgresql_where="reference IS NOT NULL"
    )
    op.create_index("ix_reservations_held_for", "reservations", ["customer_id"], postgresql_where="status = 'held'")
    op.create_index("ix_reservations_held", "reservations", ["expires_at", "id"], postgresql_where="status = 'held'")
    op.create_table(
        "reservation_lines",
        sa.Column("reservation_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.SmallInteger(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_lines_quantity_positive")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_reservation_lines_item_id")),
        sa.ForeignKeyConstraint(
            ["reservation_id"], ["reservations.id"], name=op.f("fk_reservation_lines_reservation_id")
        ),
        sa.PrimaryKeyConstraint("reservation_id", "line_no", name=op.f("pk_reservation_lines")),
    )
    op.create_index("ix_reservation_lines_item_id", "reservation_lines", ["item_id"])


def _describe_orders() -> None:
    op.add_column("orders", sa.Column("email", sa.String(length=254), nullable=True))
    op.add_column("orders", sa.Column("shipping_address", JSONB(), nullable=True))
    op.add_column("orders", sa.Column("billing_address", JSONB(), nullable=True))
    op.add_column("orders", sa.Column("charges", JSONB(), server_default="[]", nullable=False))
    for name in TOTALS:
        op.add_column("orders", sa.Column(name, MONEY, server_default="0", nullable=False))
    op.add_column("orders", sa.Column("location_id", sa.Uuid(), nullable=True))
    op.add_column("orders", sa.Column("allocation_policy", sa.String(length=40), nullable=True))
    op.add_column("orders", sa.Column("allow_backorders", sa.Boolean(), server_default="true", nullable=False))
    op.add_column("orders", sa.Column("created_by", sa.Uuid(), nullable=True))
    op.add_column("orders", sa.Column("reservation_id", sa.Uuid(), nullable=True))
    for name in ("held_at", "shipped_at", "delivered_at"):
        op.add_column("orders", sa.Column(name, MOMENT, nullable=True))
    op.add_column("orders", sa.Column("hold_reason", sa.String(length=200), nullable=True))
    op.create_foreign_key(op.f("fk_orders_reservation_id"), "orders", "reservations", ["reservation_id"], ["id"])
    op.create_foreign_key(op.f("fk_orders_location_id"), "orders", "locations", ["location_id"], ["id"])
    op.drop_constraint("ck_orders_status_known", "orders")
    op.create_check_constraint(op.f("ck_orders_status_known"), "orders", STATUSES)
    op.create_index("ix_orders_status_placed_at_id", "orders", ["status", "placed_at", "id"])
    op.create_index(
        "ix_orders_email",
        "orders",
        [sa.text("lower(email)"), "placed_at", "id"],
        postgresql_where="email IS NOT NULL",
    )
    op.create_index(
        "uq_orders_reservation_id",
        "orders",
        ["reservation_id"],
        unique=True,
        postgresql_where="reservation_id IS NOT NULL",
    )

    for name in ("shipped_quantity", "delivered_quantity", "returned_quantity"):
        op.add_column("order_lines", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("order_lines", sa.Column("promised_on", sa.Date(), nullable=True))
    op.drop_constraint("ck_order_lines_cancelled_within_quantity", "order_lines")
    op.create_check_constraint(op.f("ck_order_lines_parts_within_quantity"), "order_lines", PARTS_WITHIN_QUANTITY)

    currencies = op.get_bind().execute(sa.text("SELECT DISTINCT currency FROM orders")).scalars()
    for code in currencies.all():
        op.get_bind().execute(
            sa.text(ADD_UP.format(rounded=HALF_EVEN)), {"currency": code, "places": Currency(code).exponent or 0}
        )
    op.create_check_constraint(op.f("ck_orders_parts_within_total"), "orders", PARTS_WITHIN_TOTAL)


def _describe_stock() -> None:
    op.add_column("allocations", sa.Column("expires_at", MOMENT, nullable=True))
    op.create_index(
        "ix_allocations_expires_at",
        "allocations",
        ["item_id", "location_id", "expires_at"],
        postgresql_where="expires_at IS NOT NULL",
    )
    _let_the_ledger_know(KINDS)
    op.create_table(
        "stock_backorders",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.SmallInteger(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("waiting_since", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_stock_backorders_quantity_positive")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_stock_backorders_item_id")),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_stock_backorders_location_id")),
        sa.PrimaryKeyConstraint("owner_id", "line_no", name=op.f("pk_stock_backorders")),
    )
    op.create_index(
        "ix_stock_backorders_item_id", "stock_backorders", ["item_id", "waiting_since", "owner_id", "line_no"]
    )


def _let_the_ledger_know(kinds: str) -> None:
    """Change the kinds there are; what is there is looked through without keeping anybody from it."""
    op.drop_constraint("ck_stock_movements_kind_known", "stock_movements")
    op.execute(f"ALTER TABLE stock_movements ADD CONSTRAINT ck_stock_movements_kind_known CHECK ({kinds}) NOT VALID")
    op.execute("ALTER TABLE stock_movements VALIDATE CONSTRAINT ck_stock_movements_kind_known")


def _add_shipments() -> None:
    op.create_table(
        "shipments",
        sa.Column("sequence_number", sa.BigInteger(), sa.Identity(always=True, start=1001), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("carrier", sa.String(length=100), nullable=True),
        sa.Column("tracking_number", sa.String(length=100), nullable=True),
        sa.Column("tracking_url", sa.String(length=2000), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("shipped_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        *_identity(),
        sa.CheckConstraint("status IN ('shipped', 'delivered')", name=op.f("ck_shipments_status_known")),
        sa.CheckConstraint(
            "(status = 'delivered') = (delivered_at IS NOT NULL)", name=op.f("ck_shipments_delivered_at_a_time")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_shipments_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipments")),
        sa.UniqueConstraint("sequence_number", name=op.f("uq_shipments_sequence_number")),
    )
    op.create_index("ix_shipments_order_id", "shipments", ["order_id", "id"])
    op.create_index(
        "ix_shipments_tracking_number",
        "shipments",
        ["tracking_number"],
        postgresql_where="tracking_number IS NOT NULL",
    )
    op.create_table(
        "shipment_lines",
        sa.Column("shipment_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.SmallInteger(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("order_line_no", sa.SmallInteger(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("value", MONEY, server_default="0", nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_shipment_lines_quantity_positive")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_shipment_lines_item_id")),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_shipment_lines_location_id")),
        sa.ForeignKeyConstraint(
            ["order_id", "order_line_no"],
            ["order_lines.order_id", "order_lines.line_no"],
            name=op.f("fk_shipment_lines_order_id"),
        ),
        sa.ForeignKeyConstraint(["shipment_id"], ["shipments.id"], name=op.f("fk_shipment_lines_shipment_id")),
        sa.PrimaryKeyConstraint("shipment_id", "line_no", name=op.f("pk_shipment_lines")),
    )
    op.create_index("ix_shipment_lines_order_id", "shipment_lines", ["order_id", "order_line_no"])
    op.create_index("ix_shipment_lines_item_id", "shipment_lines", ["item_id"])


def _add_returns() -> None:
    op.create_table(
        "returns",
        sa.Column("sequence_number", sa.BigInteger(), sa.Identity(always=True, start=1001), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("refund_amount", MONEY, nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("requested_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("received_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        *_identity(),
        sa.CheckConstraint("status IN ('requested', 'received', 'cancelled')", name=op.f("ck_returns_status_known")),
        sa.CheckConstraint("refund_amount >= 0", name=op.f("ck_returns_refund_amount_not_negative")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_returns_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returns")),
        sa.UniqueConstraint("sequence_number", name=op.f("uq_returns_sequence_number")),
    )
    op.create_index("ix_returns_order_id", "returns", ["order_id", "id"])
    op.create_index("ix_returns_status_id", "returns", ["status", "id"])
    op.create_table(
        "return_lines",
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.SmallInteger(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("resellable_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("damaged_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("quarantined_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_return_lines_quantity_positive")),
        sa.CheckConstraint(
            "least(resellable_quantity, damaged_quantity, quarantined_quantity) >= 0"
            " AND resellable_quantity + damaged_quantity + quarantined_quantity <= quantity",
            name=op.f("ck_return_lines_received_within_quantity"),
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_return_lines_item_id")),
        sa.ForeignKeyConstraint(
            ["order_id", "line_no"],
            ["order_lines.order_id", "order_lines.line_no"],
            name=op.f("fk_return_lines_order_id"),
        ),
        sa.ForeignKeyConstraint(["return_id"], ["returns.id"], name=op.f("fk_return_lines_return_id")),
        sa.PrimaryKeyConstraint("return_id", "line_no", name=op.f("pk_return_lines")),
    )
    op.create_index("ix_return_lines_order_id", "return_lines", ["order_id", "line_no"])
    op.create_index("ix_return_lines_item_id", "return_lines", ["item_id"])


def _add_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("paid_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("kind IN ('payment', 'refund')", name=op.f("ck_payments_kind_known")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount_positive")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_payments_order_id")),
        sa.ForeignKeyConstraint(["return_id"], ["returns.id"], name=op.f("fk_payments_return_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
    )
    op.create_index("ix_payments_order_id", "payments", ["order_id", "id"])
    op.create_index(
        "uq_payments_reference",
        "payments",
        ["kind", "method", "reference"],
        unique=True,
        postgresql_where="reference IS NOT NULL",
    )


def _identity() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
    )


def downgrade() -> None:
    """Go back, as long as nothing exists that the revision before does not know."""
    op.execute(REFUSE_TO_GO_BACK)
    _verify_with("stock_differences_0005.sql")
    for table in ("payments", "return_lines", "returns", "shipment_lines", "shipments", "stock_backorders"):
        op.drop_table(table)
    _let_the_ledger_know(OLD_KINDS)
    op.drop_index("ix_allocations_expires_at", "allocations")
    op.drop_column("allocations", "expires_at")

    op.drop_constraint("ck_order_lines_parts_within_quantity", "order_lines")
    for name in ("promised_on", "returned_quantity", "delivered_quantity", "shipped_quantity"):
        op.drop_column("order_lines", name)
    op.create_check_constraint(
        op.f("ck_order_lines_cancelled_within_quantity"), "order_lines", "cancelled_quantity BETWEEN 0 AND quantity"
    )
    op.drop_index("ix_orders_status_placed_at_id", "orders")
    op.drop_index("ix_orders_email", "orders")
    op.drop_constraint("ck_orders_parts_within_total", "orders")
    op.drop_constraint("ck_orders_status_known", "orders")
    op.create_check_constraint(op.f("ck_orders_status_known"), "orders", OLD_STATUSES)
    for name in (
        "email", "shipping_address", "billing_address", "charges", *TOTALS, "location_id", "allocation_policy",
        "allow_backorders", "created_by", "reservation_id", "held_at",
        "hold_reason", "shipped_at", "delivered_at",
    ):  # fmt: skip
        op.drop_column("orders", name)
    op.drop_table("reservation_lines")
    op.drop_table("reservations")
    for name in ("lead_time_days", "backorders"):
        op.drop_column("items", name)
