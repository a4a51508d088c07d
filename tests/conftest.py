"""Servers, databases and clients for every test.

Most tests run in a transaction that is rolled back (`session`, `client`). Where commits, several connections or several
processes matter, a test asks for a database of its own (`database_url`, `live_app`, `server`): a copy of the migrated
template, made in a fraction of a second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from shutil import disk_usage
from socket import create_server
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import flask_migrate
import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg import sql
from sqlalchemy import create_engine

from api import create_app
from api.app import flask_config
from api.auth import keys
from api.config import Settings
from api.embedded import Postgres, Valkey
from api.events import repository as event_rows
from api.events.catalogue import CATALOGUE
from api.extensions import db, limiter
from tests.clients import SeparateRequests
from tests.factories import Factory
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from api.core.caller import Caller

MEMORY_FILES, ROOMY = Path("/dev/shm"), 2 * 1024**3  # noqa: S108  # only looked at; files in it are made by tempfile
if MEMORY_FILES.is_dir() and disk_usage(MEMORY_FILES).free > ROOMY:  # copying a database on a disk takes most of a test
    os.environ.setdefault("TMPDIR", str(MEMORY_FILES))
    tempfile.tempdir = None  # it may have been looked up before

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATE = "template_stockroom"
_databases = count(1)


SLOW = ("e2e", "chaos", "contract", "accounts", "auth", "jobs", "webhooks")
"""Folders whose tests wait for processes; begun first, they leave no process of the suite to work alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within that, the order stays random."""
    items.sort(key=lambda item: SLOW.index(item.path.parent.name) if item.path.parent.name in SLOW else len(SLOW))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the suite's own.

    Not under pytest's folder for temporary files: that is closed to the account PostgreSQL runs as when we are root.
    """
    with TemporaryDirectory(prefix="stockroom-", ignore_cleanup_errors=True) as directory:
        server = Postgres.start(Path(directory), options={"fsync": "off", "max_connections": "200"})
        yield server
        server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey server of the suite's own."""
    server = Valkey.start(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that may come to harm."""
    server = Valkey.start(tmp_path)
    yield server
    if server.pid is not None:
        os.kill(server.pid, signal.SIGCONT)
    server.stop()


@pytest.fixture(scope="session")
def keys_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one signing key."""
    directory = tmp_path_factory.mktemp("keys")
    keys.create(directory)
    return directory


@pytest.fixture(scope="session")
def make_settings(valkey: Valkey, keys_dir: Path) -> Callable[..., Settings]:
    """Build settings for a database; keyword arguments override."""

    def build(database_url: str, **overrides: object) -> Settings:
        values: dict[str, object] = {
            "environment": "test",
            "database_url": database_url,
            "redis_url": valkey.url,
            "secret_key": "a secret of the test-suite, forty-odd characters",
            "jwt_keys_dir": keys_dir,
            "log_level": "warning",
        }
        return Settings(**(values | overrides))  # type: ignore[arg-type]  # pydantic validates by name

    return build


@pytest.fixture(scope="session")
def app(postgres: Postgres, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """The application on the migrated template database; tests on it roll back."""
    postgres.create_database(TEMPLATE)
    app = create_app(make_settings(postgres.url(TEMPLATE)))
    with disposing(app):
        with app.app_context():
            flask_migrate.upgrade()
        yield app


@pytest.fixture
def database_url(app: Flask, postgres: Postgres) -> Iterator[str]:
    """A database of this test's own, migrated and empty."""
    with new_database(app, postgres) as url:
        yield url


@contextmanager
def new_database(app: Flask, postgres: Postgres) -> Iterator[str]:
    """Make a database, migrated and empty, for as long as it is needed."""
    with app.app_context():
        db.engine.dispose()  # a template that somebody is connected to cannot be copied
    name = f"stockroom_{next(_databases)}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    admin = postgres.url("postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(copy)
        yield postgres.url(name)
        connection.execute(drop)


@contextmanager
def disposing(app: Flask) -> Iterator[Flask]:
    """Close an application's connections afterwards."""
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def wandering_app(app: Flask, make_settings: Callable[..., Settings]) -> Flask:
    """The application that goes from database to database: building one takes longer than most tests."""
    return create_app(make_settings(app.extensions["stockroom"].database_url))


@pytest.fixture
def live_app(wandering_app: Flask, database_url: str, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application on a database of this test's own; what it commits stays committed.

    Who waits for a lock here waits as long as a slow machine takes.
    """
    settings = make_settings(database_url, database_lock_timeout_ms=20_000)
    options = flask_config(settings)["SQLALCHEMY_ENGINE_OPTIONS"]
    wandering_app.extensions["stockroom"] = settings
    with wandering_app.app_context():
        db.engine.dispose()
        engine = create_engine(settings.sqlalchemy_url, **options)
        cast("dict[str | None, Engine]", db.engines)[None] = engine
    yield wandering_app
    engine.dispose()


@pytest.fixture
def start(database_url: str, make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Flask]]:
    """Start applications with settings of their own on this test's own database."""
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(disposing(create_app(make_settings(database_url, **settings))))


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    """A session in a transaction that is rolled back, shared with what `client` does."""
    with app.app_context():
        engines = cast("dict[str | None, object]", db.engines)
        engine = db.engine
        db.session.configure(join_transaction_mode="create_savepoint")
        with engine.connect() as connection:
            outer = connection.begin()
            engines[None] = connection  # sessions bind to the one connection
            yield db.session()
            db.session.remove()
            outer.rollback()
        engines[None] = engine
        db.session.configure(join_transaction_mode="conditional_savepoint")


@pytest.fixture
def client(app: Flask, session: Session) -> FlaskClient:  # noqa: ARG001  # the session brings the transaction
    """A test client whose requests happen in the transaction of `session`, each in a session of its own."""
    return SeparateRequests(app, app.response_class)


@pytest.fixture
def make(session: Session) -> Factory:
    """Factories that write through `session`."""
    return Factory(session)


@pytest.fixture(autouse=True)
def _fresh_limits(request: pytest.FixtureRequest) -> None:
    """Forget how often this test-suite has logged in."""
    if "app" in request.fixturenames:
        with request.getfixturevalue("app").app_context():
            limiter.reset()


@pytest.fixture(autouse=True, scope="session")
def _events_fit_their_schemas() -> Iterator[None]:
    """Check the data of every event that any test records against the catalogue."""
    checks = {name: Draft202012Validator(one.schema) for name, one in CATALOGUE.items()}
    add, add_all = event_rows.add, event_rows.add_all

    def checked(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
        checks[type_].validate(data)
        add(session, type_, subject_id, data, by=by)

    def all_checked(session: Session, type_: str, news: Iterable[tuple[UUID, dict[str, Any]]], *, by: Caller) -> None:
        for _, data in news:
            checks[type_].validate(data)
        add_all(session, type_, news, by=by)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_rows, "add", checked)
        patch.setattr(event_rows, "add_all", all_checked)
        yield


@pytest.fixture(autouse=True)
def _push_request_context() -> None:
    """Keep pytest-flask from sharing one request context, and so `g`, between all requests of a test."""


@pytest.fixture
def server_environment(database_url: str, valkey: Valkey, keys_dir: Path) -> dict[str, str]:
    """What a server process needs to know; not that coverage is counted, which would make it start half as fast."""
    return environment_of(database_url, valkey, keys_dir)


def environment_of(database_url: str, valkey: Valkey, keys_dir: Path) -> dict[str, str]:
    """Say what a process needs to know that serves a database."""
    return {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "test",
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey.url,
        "SECRET_KEY": "a secret of the test-suite, forty-odd characters",
        "JWT_KEYS_DIR": str(keys_dir),
        "ALLOW_UNSAFE_DURABILITY": "true",
        "LOGIN_LIMIT": "10000 per minute",
        "LOG_LEVEL": "warning",
    }


@pytest.fixture
def server(server_environment: dict[str, str]) -> Iterator[httpx.URL]:
    """Two gunicorn workers on a database of this test's own; tells where they listen."""
    with serving(server_environment) as url:
        yield url


@contextmanager
def serving(environment: dict[str, str], *, path: str = "/ready") -> Iterator[httpx.URL]:
    """Start gunicorn and wait until a path of it answers; tells where it listens."""
    with gunicorn(environment) as (process, url):
        wait_until(lambda: answers(url.join(path), process), seconds=60)
        yield url


@contextmanager
def gunicorn(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], httpx.URL]]:
    """Start gunicorn as production does; tells the process and where it will listen."""
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-w", "2", "--threads", "4"]
    command += ["--log-level", "warning", "-b", f"127.0.0.1:{port}", "wsgi:app"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process, httpx.URL(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=40)


def answers(url: httpx.URL, process: subprocess.Popen[str]) -> bool:
    """Tell whether a server answers well; complain when it has ended."""
    if process.poll() is not None:
        raise AssertionError(process.communicate()[1])
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
