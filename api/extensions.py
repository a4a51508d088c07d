"""Flask extensions, not yet bound to an application."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask_sqlalchemy.session
from flask import g
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

from api.core.orm import ONLY_READS, Base

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class Session(flask_sqlalchemy.session.Session):
    """A session without transactions while it only reads: BEGIN and COMMIT would be two round trips for nothing."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:  # noqa: ANN401  # whatever SQLAlchemy asks
        """Choose the engine, or the connection that a test has chosen."""
        bind = super().get_bind(*args, **kwargs)
        return _without_transactions(bind) if self.info.get(ONLY_READS) and isinstance(bind, Engine) else bind


@event.listens_for(Session, "before_flush")
def _refuse_to_write(session: Session, *_: object) -> None:
    """Fail where a view that only reads would write: without a transaction it would be half of something."""
    if session.info.get(ONLY_READS):
        message = "a GET that changes something is to be marked as in_transaction"
        raise RuntimeError(message)


@cache
def _without_transactions(engine: Engine) -> Engine:
    """Use the same pool, and let every statement be its own transaction."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False, "class_": Session})
migrate = Migrate(directory=str(MIGRATIONS), compare_type=True)
jwt = JWTManager()


class OnDemandLimiter(Limiter):
    """A limiter that counts where a view asks for it, and does not look in front of every other view."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:  # noqa: FBT001, FBT002  # as there
        if not in_middleware:
            super()._check_request_limit(callable_name, in_middleware)


limiter = OnDemandLimiter(key_func=lambda: str(g.network))
cors = CORS()
