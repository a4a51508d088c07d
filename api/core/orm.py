"""The declarative base, the columns many tables share, and the base of every repository."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Integer, MetaData, Numeric, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from api.core import ids

if TYPE_CHECKING:
    from sqlalchemy import Row, Select
    from sqlalchemy.orm import Session

type AnyRow = Row[*tuple[Any, ...]]
"""A row of a Core query, whatever its columns."""

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


ONLY_READS = "only_reads"
"""The entry of a session's `info` that says: each statement may stand alone."""


class Base(DeclarativeBase):
    """The base of every model; `extensions.db` shares its metadata."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: Integer,
        UUID: Uuid,
        datetime: DateTime(timezone=True),
        Decimal: Numeric(14, 4),
        dict[str, Any]: JSONB,
    }


class Identified:
    """A UUIDv7 primary key, made in the application."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)


class Timestamped:
    """When a row was created and last changed, by the database's clock."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Versioned:
    """A counter that every change increments; a change made on a stale copy fails. The ETag is made from it."""

    version: Mapped[int] = mapped_column(BigInteger, default=1, server_default="1")

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let SQLAlchemy check and increment the version in the UPDATE itself."""
        return {"version_id_col": cls.version, "eager_defaults": True}


class Repository[Model: Base]:
    """The statements every domain needs. Subclasses add their own and set `model`."""

    model: type[Model]

    def __init__(self, session: Session) -> None:
        """Work in the caller's transaction."""
        self.session = session

    def get(self, identifier: UUID) -> Model | None:
        """Find a row by its primary key."""
        return self.session.get(self.model, identifier)

    def add(self, row: Model) -> Model:
        """Insert a row at once, so that the database's verdict and defaults are known."""
        self.session.add(row)
        self.session.flush()
        return row

    def now(self) -> datetime:
        """Tell the moment of the transaction, by the database's clock."""
        return self.session.execute(select(func.now())).scalar_one()

    def one(self, query: Select[Model]) -> Model | None:
        """Find the only row a query matches."""
        return self.session.scalars(query).one_or_none()

    def exists(self, query: Select[Any]) -> bool:
        """Tell whether a query matches anything."""
        return bool(self.session.scalar(select(query.exists())))
