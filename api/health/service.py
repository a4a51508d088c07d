"""Whether this process can do its work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from api.core.errors import Problem
from api.health.errors import NotReady

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

REDIS_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the installation needs, and what is wrong with it, if anything."""

    name: str
    problem: str | None = None


def require(session: Session, *, migrations: str, redis_url: str | None) -> list[Check]:
    """Look at everything a request may need.

    Raises:
        NotReady: naming everything that is missing.

    """
    checks = [_database(session, migrations)]
    if redis_url is not None:
        checks.append(_redis(redis_url))
    problems = tuple(Problem(f"{check.name}_not_ready", check.problem) for check in checks if check.problem)
    if problems:
        raise NotReady(problems=problems)
    return checks


def _database(session: Session, migrations: str) -> Check:
    try:
        present = MigrationContext.configure(session.connection()).get_current_heads()
    except SQLAlchemyError:
        session.rollback()
        return Check("database", "The database does not answer.")
    config = Config()
    config.set_main_option("script_location", migrations)
    if set(present) != set(ScriptDirectory.from_config(config).get_heads()):
        return Check("migrations", "The database schema is not at the newest migration; run flask db upgrade.")
    return Check("database")


def _redis(url: str) -> Check:
    client = redis.from_url(url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS)
    try:
        client.ping()
    except redis.RedisError:
        return Check("redis", "Redis does not answer; rate limits are counted per process meanwhile.")
    finally:
        client.close()
    return Check("redis")
