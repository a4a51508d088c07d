"""The hot operations of Stockroom as the usual asynchronous stack does them, on the same tables and the same tokens.

FastAPI, pydantic, SQLAlchemy's asyncio ORM and asyncpg, each used as its documentation says; answers are written by
pydantic straight to JSON, which is FastAPI's own fast path. It keeps what Stockroom keeps: the token is verified and
its login looked up, the idempotency key is claimed in the transaction of the effect, rows are locked in key order,
prices come from the catalogue, and levels, ledger, allocations, order, lines and event are written together. The
`integrity` view agrees with what it leaves. It leaves out, in its own favour, what Stockroom does beside that: rate
limits, the ping of a pooled connection, retries, backorders, holds that lapse, and amounts in plain digits.

DATABASE_URL=… JWT_KEYS_DIR=… SECRET_KEY=… uvicorn bench.peers.fastapi_app:app
"""

# Neither FastAPI nor SQLAlchemy can read annotations that are only imported for type checkers.
import hmac
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jwt
import orjson
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fastapi import Depends, FastAPI, Header, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    cast,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

SECRET = os.environ["SECRET_KEY"].encode()
ISSUER = AUDIENCE = "stockroom"
CURRENCY, CENT = "GBP", Decimal("0.01")
SELLING = ("warehouse", "store")
CUSTOMER = {"account", "items:read", "jobs:read", "notifications", "orders:read", "orders:write"}
CLERK = CUSTOMER | {"orders:all", "orders:fulfil", "payments:write", "locations:read", "stock:read", "stock:write"}
SCOPES = {"customer": CUSTOMER, "clerk": CLERK}
PUBLIC_KEYS: dict[str, Any] = {
    path.stem: load_pem_private_key(path.read_bytes(), None).public_key()
    for path in Path(os.environ["JWT_KEYS_DIR"]).glob("*.pem")
}

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=int(os.environ.get("DATABASE_POOL_SIZE", "8")),
    max_overflow=0,
    json_serializer=lambda value: orjson.dumps(value).decode(),
    json_deserializer=orjson.loads,
    connect_args={"server_settings": {"statement_timeout": "15000", "lock_timeout": "2000", "timezone": "UTC"}},
)
Session = async_sessionmaker(engine, expire_on_commit=False)


# Tables -----------------------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {  # noqa: RUF012  # declared so by SQLAlchemy
        datetime: TIMESTAMP(timezone=True),
        Decimal: Numeric(24, 4),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class User(Base):
    """Who has an account."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    is_active: Mapped[bool]
    logins_since: Mapped[datetime | None]


class Login(Base):
    """A login that tokens refer to."""

    __tablename__ = "auth_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Item(Base):
    """A thing that is sold."""

    __tablename__ = "items"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    barcode: Mapped[str | None]
    category: Mapped[str | None]
    tags: Mapped[list[str]]
    attributes: Mapped[dict[str, Any]]
    image_url: Mapped[str | None]
    unit: Mapped[str]
    unit_price: Mapped[Decimal]
    reorder_point: Mapped[int | None]
    reorder_quantity: Mapped[int | None]
    backorders: Mapped[str]
    lead_time_days: Mapped[int | None]
    is_stocked: Mapped[bool]
    archived_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Location(Base):
    """A place where things lie."""

    __tablename__ = "locations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    priority: Mapped[int]


class StockLevel(Base):
    """How much of an item lies at a location."""

    __tablename__ = "stock_levels"

    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.id"), primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]
    value: Mapped[Decimal]
    version: Mapped[int] = mapped_column(BigInteger)
    moved_at: Mapped[datetime | None]
    reorder_point: Mapped[int | None]
    is_low: Mapped[bool]
    updated_at: Mapped[datetime]

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved


class StockMovement(Base):
    """One line of the ledger."""

    __tablename__ = "stock_movements"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    item_id: Mapped[UUID]
    location_id: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    on_hand_change: Mapped[int]
    reserved_change: Mapped[int]
    on_hand: Mapped[int]
    reserved: Mapped[int]
    value_change: Mapped[Decimal]
    value: Mapped[Decimal]
    source_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    is_late: Mapped[bool]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class Allocation(Base):
    """What a level keeps for a line of an order."""

    __tablename__ = "allocations"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    location_id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID]
    quantity: Mapped[int]
    expires_at: Mapped[datetime | None]


class Order(Base):
    """A promise to deliver."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    sequence_number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    status: Mapped[str] = mapped_column(default="placed")
    customer_id: Mapped[UUID | None]
    reference: Mapped[str | None]
    note: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    email: Mapped[str | None]
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    billing_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    currency: Mapped[str]
    charges: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    subtotal: Mapped[Decimal]
    discount_total: Mapped[Decimal] = mapped_column(default=0)
    tax_total: Mapped[Decimal] = mapped_column(default=0)
    total: Mapped[Decimal]
    cancelled_total: Mapped[Decimal] = mapped_column(default=0)
    refund_total: Mapped[Decimal] = mapped_column(default=0)
    paid_total: Mapped[Decimal] = mapped_column(default=0)
    line_count: Mapped[int] = mapped_column(SmallInteger)
    placed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    lines: Mapped[list["OrderLine"]] = relationship(lazy="raise", order_by="OrderLine.line_no")

    @property
    def number(self) -> str:
        """The number people use."""
        return f"SO-{self.sequence_number:06d}"

    @property
    def balance_due(self) -> Decimal:
        """What is still to be paid."""
        return self.total - self.cancelled_total - self.refund_total - self.paid_total

    @property
    def payment_status(self) -> str:
        """Say it in one word."""
        return "unpaid" if self.balance_due else "nothing_due"


class OrderLine(Base):
    """So many units of an item at a price."""

    __tablename__ = "order_lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    item_id: Mapped[UUID]
    sku: Mapped[str]
    name: Mapped[str]
    quantity: Mapped[int]
    cancelled_quantity: Mapped[int] = mapped_column(default=0)
    shipped_quantity: Mapped[int] = mapped_column(default=0)
    delivered_quantity: Mapped[int] = mapped_column(default=0)
    returned_quantity: Mapped[int] = mapped_column(default=0)
    unit_price: Mapped[Decimal]
    is_stocked: Mapped[bool]

    @property
    def amount(self) -> Decimal:
        """Quantity × unit price."""
        return self.quantity * self.unit_price

    @property
    def outstanding_quantity(self) -> int:
        """The units that are still to be shipped."""
        return self.quantity - self.cancelled_quantity - self.shipped_quantity


class Event(Base):
    """One thing that happened."""

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    type: Mapped[str]
    subject_id: Mapped[UUID]
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]


class IdempotencyKey(Base):
    """An answer that is kept for repetitions."""

    __tablename__ = "idempotency_keys"

    caller_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


# Shapes -----------------------------------------------------------------------------------------------------------


class Shown(BaseModel):
    """The base of what is answered."""

    model_config = ConfigDict(from_attributes=True)


class Asked(BaseModel):
    """The base of what is asked: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid")


class ItemOut(Shown):
    """An item."""

    id: UUID
    sku: str
    name: str
    description: str | None
    barcode: str | None
    category: str | None
    tags: list[str]
    attributes: dict[str, Any]
    image_url: str | None
    unit: str
    unit_price: Decimal
    reorder_point: int | None
    reorder_quantity: int | None
    backorders: str
    lead_time_days: int | None
    is_stocked: bool
    archived_at: AwareDatetime | None
    version: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ItemPage(Shown):
    """A page of items."""

    data: list[ItemOut]
    next_cursor: str | None


class LevelOut(Shown):
    """A level with the facts of its item and its location."""

    item_id: UUID
    sku: str
    name: str
    unit: str
    location_id: UUID
    location_code: str
    location_name: str
    location_kind: str
    on_hand: int
    reserved: int
    available: int
    reorder_point: int | None
    is_low: bool
    version: int
    moved_at: AwareDatetime | None


class LevelPage(Shown):
    """A page of levels."""

    data: list[LevelOut]
    next_cursor: str | None


class LineIn(Asked):
    """An item, by id or by SKU, and how many of it."""

    item_id: UUID | None = None
    sku: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]

    @model_validator(mode="after")
    def _names_one(self) -> "LineIn":
        if (self.item_id is None) is (self.sku is None):
            message = "Name the item by item_id or by sku."
            raise ValueError(message)
        return self


class Address(Asked):
    """Where to."""

    name: Annotated[str, Field(max_length=200)]
    line1: Annotated[str, Field(max_length=200)]
    line2: Annotated[str, Field(max_length=200)] | None = None
    city: Annotated[str, Field(max_length=200)]
    postal_code: Annotated[str, Field(max_length=40)] | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]


class OrderIn(Asked):
    """A new order."""

    lines: Annotated[list[LineIn], Field(min_length=1, max_length=1000)]
    email: Annotated[str, Field(max_length=254)] | None = None
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    note: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    metadata: dict[str, str] = {}
    shipping_address: Address | None = None
    billing_address: Address | None = None


class LineOut(Shown):
    """One line of an order."""

    line_no: int
    item_id: UUID
    sku: str
    name: str
    quantity: int
    cancelled_quantity: int
    shipped_quantity: int
    delivered_quantity: int
    returned_quantity: int
    outstanding_quantity: int
    backordered_quantity: int = 0
    promised_on: str | None = None
    unit_price: Decimal
    amount: Decimal
    is_stocked: bool


class OrderOut(Shown):
    """An order."""

    id: UUID
    number: str
    status: str
    customer_id: UUID | None
    reference: str | None
    note: str | None
    metadata: Annotated[dict[str, str], Field(validation_alias="details")]
    email: str | None
    shipping_address: dict[str, Any] | None
    billing_address: dict[str, Any] | None
    currency: str
    subtotal: Decimal
    discounts: list[Any] = []
    discount_total: Decimal
    taxes: list[Any] = []
    tax_total: Decimal
    total: Decimal
    cancelled_total: Decimal
    refund_total: Decimal
    paid_total: Decimal
    balance_due: Decimal
    payment_status: str
    line_count: int
    reservation_id: UUID | None = None
    version: int
    placed_at: AwareDatetime
    held_at: AwareDatetime | None = None
    shipped_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    cancelled_at: AwareDatetime | None = None
    cancel_reason: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    lines: list[LineOut]


# Errors, headers and callers ------------------------------------------------------------------------------------


class Refusal(Exception):
    """Something that is refused, in the form of every error."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, **more: object) -> None:
        """Say what, and what to do."""
        self.status, self.code, self.message, self.field = status, code, message, field
        self.details = more.pop("details", [{"code": code, "message": message, "field": field}])


def _error(request: Request, status: int, code: str, message: str, field: str | None, details: object) -> JSONResponse:
    error = {"code": code, "message": message, "field": field, "details": details}
    return JSONResponse({"error": error | {"request_id": request.state.request_id}}, status)


class Headers:
    """Give every request an id, and every answer the headers that all have; plain ASGI, as Starlette recommends."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = str(uuid7())

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
                headers["Cache-Control"] = "private, no-cache" if "ETag" in headers else "no-store"
            await send(message)

        await self.app(scope, receive, with_headers)


app = FastAPI(title="Stockroom's hot operations")
app.add_middleware(Headers)


@app.exception_handler(Refusal)
async def refused(request: Request, error: Refusal) -> JSONResponse:
    """Answer with what was refused."""
    return _error(request, error.status, error.code, error.message, error.field, error.details)


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer with what could not be read."""
    details = [
        {"code": one["type"], "message": one["msg"], "field": ".".join(map(str, one["loc"][1:]))}
        for one in error.errors()
    ]
    return _error(request, 422, details[0]["code"], details[0]["message"], details[0]["field"], details)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    id: UUID
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Tell whether the caller holds a scope."""
        return scope in self.scopes


async def session_of_request() -> AsyncIterator[AsyncSession]:
    """Open a session; what is not committed is rolled back."""
    async with Session() as session:
        yield session


Db = Annotated[AsyncSession, Depends(session_of_request)]
bearer = HTTPBearer(auto_error=False)


def _verified(token: str) -> tuple[UUID, UUID]:
    """Tell the user and the login of a token that is ours and still good."""
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(
        token,
        PUBLIC_KEYS[header["kid"]] if header["typ"] == "at+jwt" else "",
        algorithms=["RS256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=30,
        options={"require": ["exp", "iat", "jti", "iss", "aud", "sub", "sid", "type"]},
    )
    if claims["type"] != "access":
        raise KeyError(claims["type"])
    return UUID(claims["sub"]), UUID(claims["sid"])


async def caller_of_request(
    scopes: SecurityScopes, session: Db, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller:
    """Verify the token and look its login up."""
    if credentials is None:
        raise Refusal(401, "authentication_required", "Send an access token.")
    try:
        user_id, login_id = _verified(credentials.credentials)
    except (jwt.PyJWTError, KeyError, ValueError):
        raise Refusal(401, "token_invalid", "The token is not valid.") from None
    found = await session.execute(
        select(User.id, User.role)
        .join(Login, Login.user_id == User.id)
        .where(
            Login.id == login_id,
            User.id == user_id,
            User.is_active,
            Login.ended_at.is_(None),
            Login.expires_at > func.now(),
            or_(User.logins_since.is_(None), Login.created_at > User.logins_since),
        )
    )
    row = found.one_or_none()
    if row is None:
        raise Refusal(401, "token_invalid", "The token is not valid.")
    caller = Caller(row.id, frozenset(SCOPES.get(row.role, ())))
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise Refusal(403, "forbidden", f"This needs the permission {scope}, which the caller does not have.")
    return caller


# Operations -------------------------------------------------------------------------------------------------------

cursors = URLSafeSerializer(SECRET)
Limit = Annotated[int, Query(ge=1, le=200)]


def _after(cursor: str | None, kind: str) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        sealed: list[Any] = cursors.loads(cursor)
    except BadSignature:
        sealed = [None]
    if sealed[0] != kind:
        raise Refusal(400, "cursor_invalid", "The cursor does not belong to this list.", "cursor")
    return sealed[1:]


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@app.get("/api/v1/items", response_model=ItemPage)
async def list_items(
    session: Db,
    _: Annotated[Caller, Security(caller_of_request, scopes=["items:read"])],
    limit: Limit = 50,
    cursor: str | None = None,
) -> Any:  # noqa: ANN401  # the decorator names the model, as FastAPI recommends for ORM rows
    """List items in order of SKU."""
    query = select(Item).where(Item.archived_at.is_(None)).order_by(Item.sku, Item.id).limit(limit + 1)
    if after := _after(cursor, "items"):
        query = query.where(tuple_(Item.sku, Item.id) > (after[0], UUID(after[1])))
    rows = (await session.scalars(query)).all()
    more = cursors.dumps(["items", rows[limit - 1].sku, str(rows[limit - 1].id)]) if len(rows) > limit else None
    return {"data": rows[:limit], "next_cursor": more}


@app.get("/api/v1/items/{item_id}", response_model=ItemOut)
async def show_item(
    item_id: UUID,
    session: Db,
    _: Annotated[Caller, Security(caller_of_request, scopes=["items:read"])],
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:  # noqa: ANN401  # the same
    """Show an item, or say that the caller's copy is current."""
    item = await session.get(Item, item_id)
    if item is None:
        raise Refusal(404, "item_not_found", "There is no such item.")
    tag = f'"{item.version}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return item


@app.get("/api/v1/stock/levels", response_model=LevelPage)
async def list_levels(
    session: Db,
    _: Annotated[Caller, Security(caller_of_request, scopes=["stock:read"])],
    limit: Limit = 50,
    cursor: str | None = None,
) -> Any:  # noqa: ANN401  # the same
    """List levels with what is available; a hold whose time is over keeps nothing, whether it was released or not."""
    over = (
        select(cast(func.coalesce(func.sum(Allocation.quantity), 0), Integer).label("units"))
        .where(Allocation.item_id == StockLevel.item_id, Allocation.location_id == StockLevel.location_id)
        .where(Allocation.expires_at <= func.clock_timestamp())
        .lateral()
    )
    reserved = StockLevel.reserved - over.c.units
    query = (
        select(
            StockLevel.item_id,
            StockLevel.location_id,
            StockLevel.on_hand,
            reserved.label("reserved"),
            (StockLevel.on_hand - reserved).label("available"),
            StockLevel.reorder_point,
            StockLevel.is_low,
            StockLevel.version,
            StockLevel.moved_at,
            Item.sku,
            Item.name,
            Item.unit,
            Location.code.label("location_code"),
            Location.name.label("location_name"),
            Location.kind.label("location_kind"),
        )
        .select_from(StockLevel)
        .join(over, true())
        .join(Item, Item.id == StockLevel.item_id)
        .join(Location, Location.id == StockLevel.location_id)
        .order_by(StockLevel.item_id, StockLevel.location_id)
        .limit(limit + 1)
    )
    if after := _after(cursor, "levels"):
        query = query.where(tuple_(StockLevel.item_id, StockLevel.location_id) > (UUID(after[0]), UUID(after[1])))
    rows = (await session.execute(query)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    more = cursors.dumps(["levels", str(last.item_id), str(last.location_id)]) if last else None
    return {"data": rows[:limit], "next_cursor": more}


@app.post("/api/v1/orders", response_model=OrderOut, status_code=201)
async def place_order(
    request: Request,
    wanted: OrderIn,
    session: Db,
    caller: Annotated[Caller, Security(caller_of_request, scopes=["orders:write"])],
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Place an order: all of it or nothing, once for each key."""
    claim = _claim(request, await request.body(), caller, idempotency_key)
    if claim and not await session.scalar(
        insert(IdempotencyKey).values(claim).on_conflict_do_nothing().returning(IdempotencyKey.key)
    ):
        return await _replay(session, claim)
    order = await _place(session, wanted, caller, request.state.request_id)
    body = OrderOut.model_validate(order).model_dump_json().encode()
    headers = {
        "Location": f"/api/v1/orders/{order.id}",
        "ETag": f'"{order.version}"',
        "Content-Type": "application/json",
    }
    if claim:
        await session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.caller_id == caller.id, IdempotencyKey.key == idempotency_key)
            .values(status=201, headers=headers, body=body)
            .execution_options(synchronize_session=False)
        )
    await session.commit()
    return Response(body, 201, headers)


def _claim(request: Request, body: bytes, caller: Caller, key: str | None) -> dict[str, Any] | None:
    if key is None:
        return None
    fingerprint = hmac.digest(SECRET, f"{request.method} {request.url.path}\n".encode() + body, "sha256")
    return {"caller_id": caller.id, "key": key, "fingerprint": fingerprint, "scopes": sorted(caller.scopes)}


async def _replay(session: AsyncSession, claim: dict[str, Any]) -> Response:
    kept = await session.get(IdempotencyKey, (claim["caller_id"], claim["key"]))
    if kept is None or kept.status is None:
        raise Refusal(409, "idempotency_in_progress", "A request with this key is still being worked on.")
    if kept.fingerprint != claim["fingerprint"]:
        raise Refusal(422, "idempotency_key_reused", "This key was used for a different request.")
    if not set(claim["scopes"]).issuperset(kept.scopes):
        raise Refusal(403, "permission_lost", "The first answer was given with permissions that are gone.")
    return Response(kept.body, kept.status, {**(kept.headers or {}), "Idempotency-Replayed": "true"})


async def _place(session: AsyncSession, wanted: OrderIn, caller: Caller, request_id: str) -> Order:
    lines = await _lines(session, wanted.lines)
    order = Order(
        id=uuid7(),
        customer_id=None if caller.may("orders:all") else caller.id,
        created_by=caller.id,
        reference=wanted.reference,
        note=wanted.note,
        details=wanted.metadata,
        email=wanted.email,
        shipping_address=wanted.shipping_address and wanted.shipping_address.model_dump(exclude_none=True),
        billing_address=wanted.billing_address and wanted.billing_address.model_dump(exclude_none=True),
        currency=CURRENCY,
        subtotal=sum((line.amount for line in lines), Decimal()),
        total=sum((line.amount for line in lines), Decimal()).quantize(CENT),
        line_count=len(lines),
        lines=lines,
    )
    session.add(order)
    await _reserve(session, order, caller, request_id)
    await session.flush()
    data = {
        "number": order.number,
        "status": order.status,
        "customer_id": str(order.customer_id) if order.customer_id else None,
        "currency": order.currency,
        "total": str(order.total),
        "lines": [
            {
                "line_no": line.line_no,
                "item_id": str(line.item_id),
                "sku": line.sku,
                "quantity": line.quantity,
                "backordered_quantity": 0,
            }
            for line in order.lines
        ],
    }
    session.add(Event(type="order.placed", subject_id=order.id, actor_id=caller.id, request_id=request_id, data=data))
    return order


async def _lines(session: AsyncSession, wanted: Sequence[LineIn]) -> list[OrderLine]:
    """Look the items up and take their prices."""
    ids, skus = {one.item_id for one in wanted if one.item_id}, {one.sku.lower() for one in wanted if one.sku}
    which = [*([Item.id.in_(ids)] if ids else []), *([func.lower(Item.sku).in_(skus)] if skus else [])]
    known: dict[UUID | str, Item] = {}
    for item in await session.scalars(select(Item).where(or_(*which))):
        known |= {item.id: item, item.sku.lower(): item}
    lines = []
    for number, one in enumerate(wanted):
        found = known.get(one.item_id or (one.sku or "").lower())
        if found is None or found.archived_at is not None:
            raise Refusal(422, "item_unknown", "There is no such item.", f"lines.{number}")
        lines.append(
            OrderLine(
                line_no=number + 1,
                item_id=found.id,
                sku=found.sku,
                name=found.name,
                quantity=one.quantity,
                cancelled_quantity=0,
                shipped_quantity=0,
                unit_price=found.unit_price,
                is_stocked=found.is_stocked,
            )
        )
    return lines


async def _reserve(session: AsyncSession, order: Order, caller: Caller, request_id: str) -> None:
    """Lock the levels in key order, choose locations, and write levels, ledger and allocations."""
    totals: dict[UUID, int] = {}
    for line in order.lines:
        if line.is_stocked:
            totals[line.item_id] = totals.get(line.item_id, 0) + line.quantity
    found = await session.execute(
        select(StockLevel, Location.priority, Location.code)
        .join(Location, Location.id == StockLevel.location_id)
        .where(Location.kind.in_(SELLING), StockLevel.item_id.in_(totals))
        .order_by(StockLevel.item_id, StockLevel.location_id)
        .with_for_update(of=StockLevel)
    )
    rows = found.all()
    levels = {(row.StockLevel.item_id, row.StockLevel.location_id): row.StockLevel for row in rows}
    places = {row.StockLevel.location_id: (row.priority, row.code) for row in rows}
    shares = _shares(order, totals, levels, sorted(places, key=lambda place: places[place]))
    moment = max([datetime.now(UTC), *(levels[key].moved_at for key in shares if levels[key].moved_at)])
    for key, quantity in sorted(shares.items()):
        level = levels[key]
        was_low = level.is_low
        level.reserved += quantity
        level.version += 1
        level.moved_at = level.updated_at = moment
        level.is_low = level.reorder_point is not None and level.available <= level.reorder_point
        session.add(
            StockMovement(
                item_id=level.item_id,
                location_id=level.location_id,
                sequence=level.version,
                kind="reserve",
                on_hand_change=0,
                reserved_change=quantity,
                on_hand=level.on_hand,
                reserved=level.reserved,
                value_change=Decimal(),
                value=level.value,
                source_id=order.id,
                actor_id=caller.id,
                request_id=request_id,
                is_late=False,
                occurred_at=moment,
                recorded_at=moment,
            )
        )
        if level.is_low and not was_low:
            told = {"item_id": str(level.item_id), "location_id": str(level.location_id)}
            told |= {"available": level.available, "reorder_point": level.reorder_point}
            session.add(
                Event(type="stock.low", subject_id=level.item_id, actor_id=caller.id, request_id=request_id, data=told)
            )
    left = dict(shares)
    for line in order.lines:
        open_quantity = line.quantity
        for key in [key for key in left if key[0] == line.item_id]:
            quantity = min(open_quantity, left[key])
            if quantity:
                left[key] -= quantity
                open_quantity -= quantity
                session.add(
                    Allocation(
                        owner_id=order.id,
                        line_no=line.line_no,
                        location_id=key[1],
                        item_id=line.item_id,
                        quantity=quantity,
                    )
                )


def _shares(
    order: Order, totals: dict[UUID, int], levels: dict[tuple[UUID, UUID], StockLevel], places: Sequence[UUID]
) -> dict[tuple[UUID, UUID], int]:
    """Take everything from the first location that has it, else each item where there is most of it."""

    def available(item: UUID, place: UUID) -> int:
        level = levels.get((item, place))
        return level.available if level else 0

    details = []
    for item, wanted in totals.items():
        there = sum(available(item, place) for place in places)
        if wanted > there:
            line = next(line for line in order.lines if line.item_id == item)
            field = f"lines.{line.line_no - 1}.quantity"
            message = f"{wanted} were asked for and {there} are available."
            details.append({"code": "insufficient_stock", "message": message, "field": field, "item_id": str(item)})
    if details:
        message = f"There is not enough stock for {len(details)} of the items; nothing was changed."
        raise Refusal(409, "insufficient_stock", message, str(details[0]["field"]), details=details)
    for place in places:
        if all(available(item, place) >= wanted for item, wanted in totals.items()):
            return {(item, place): wanted for item, wanted in totals.items()}
    shares: dict[tuple[UUID, UUID], int] = {}
    for item, wanted in totals.items():
        rest = wanted
        for place in sorted(places, key=lambda place, item=item: -available(item, place)):  # type: ignore[misc]  # bound at once
            if quantity := min(rest, available(item, place)):
                shares[item, place] = quantity
                rest -= quantity
    return shares
