"""What the task queue's own tables have no place for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base


class JobNote(Base):
    """Who started a job, and why it failed the last time; goes with the job (a foreign key set by the migration)."""

    __tablename__ = "job_notes"
    __table_args__ = (Index("ix_job_notes_started_by", "started_by", "public_id"),)

    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    public_id: Mapped[UUID | None] = mapped_column(unique=True)
    started_by: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(String(500))
    failed_at: Mapped[datetime | None]
