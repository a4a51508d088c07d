"""Every statement about second factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, or_, select, update

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

    def remove(self, user_id: UUID) -> bool:
        """Forget a second factor with its codes; False when there was none."""
        self.replace_codes(user_id, ())
        gone = self.session.scalar(
            delete(SecondFactor).where(SecondFactor.user_id == user_id).returning(SecondFactor.user_id)
        )
        return gone is not None

    def now(self) -> datetime:
        """Tell the time, by the database's clock."""
        return self.session.execute(select(func.now())).scalar_one()
