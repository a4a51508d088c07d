"""Every statement about second factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from api.core.orm import Repository
from api.second_factor.models import RecoveryCode, SecondFactor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID


class SecondFactorRepository(Repository[SecondFactor]):
    """Second factors by user."""

    model = SecondFactor

    def is_on(self, user_id: UUID) -> bool:
        """Tell whether an account has confirmed one."""
        return self.exists(
            select(SecondFactor.user_id).where(SecondFactor.user_id == user_id, SecondFactor.confirmed_at.is_not(None))
        )

    def begin(self, user_id: UUID, secret: bytes) -> bool:
        """Keep a secret in the place of one that was not confirmed; False when there is one that was."""
        fresh = {"secret": secret, "last_step": None, "created_at": func.now(), "updated_at": func.now()}
        begun = self.session.scalar(
            insert_or_update(SecondFactor)
            .values(user_id=user_id, secret=secret)
            .on_conflict_do_update(index_elements=["user_id"], set_=fresh, where=SecondFactor.confirmed_at.is_(None))
            .returning(SecondFactor.user_id)
            .execution_options(synchronize_session=False)
        )
        return begun is not None

    def lock(self, user_id: UUID) -> SecondFactor | None:
        """Find a factor as it is now, and let nobody else change it or its codes until the transaction ends."""
        query = select(SecondFactor).where(SecondFactor.user_id == user_id)
        return self.one(query.with_for_update().execution_options(populate_existing=True))

    def use_step(self, user_id: UUID, step: int) -> bool:
        """Note that the code of a step was used; False when it, or a later one, was before."""
        done = self.session.scalar(
            update(SecondFactor)
            .where(
                SecondFactor.user_id == user_id, or_(SecondFactor.last_step.is_(None), SecondFactor.last_step < step)
            )
            .values(last_step=step)
            .returning(SecondFactor.user_id)
        )
        return done is not None

    def use_code(self, user_id: UUID, code_hash: bytes) -> bool:
        """Use up a recovery code; False when there is none such left."""
        done = self.session.scalar(
            update(RecoveryCode)
            .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == code_hash, RecoveryCode.used_at.is_(None))
            .values(used_at=func.now())
            .returning(RecoveryCode.user_id)
        )
        return done is not None

    def replace_codes(self, user_id: UUID, hashes: Iterable[bytes]) -> None:
        """Put new recovery codes in the place of all earlier ones."""
        self.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        rows = [{"user_id": user_id, "code_hash": each} for each in hashes]
        if rows:
            self.session.execute(insert(RecoveryCode), rows)

    def codes_left(self, user_id: UUID) -> int:
        """Count recovery codes that have not been used."""
        query = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
        return self.session.execute(query).scalar_one()

    def remove(self, factor: SecondFactor) -> None:
        """Forget a factor that is locked, with its codes."""
        self.replace_codes(factor.user_id, ())
        self.session.delete(factor)
        self.session.flush()

    def now(self) -> datetime:
        """Tell the time, by the database's clock."""
        return self.session.execute(select(func.now())).scalar_one()
