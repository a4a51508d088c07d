"""What load programs start: PostgreSQL with the schema of the migrations, and servers that answer over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import TYPE_CHECKING

import click
import flask_migrate
import httpx

from api import create_app
from api.auth import keys
from api.config import Settings
from api.core.caller import Caller
from api.extensions import db
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flask import Flask

PROJECT = Path(__file__).resolve().parent.parent
EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"  # opens nothing but these programs' servers
SECRET = "a secret of the load programs, forty-odd characters"  # noqa: S105  # the same
PATIENCE_SECONDS = 60.0
AMPLE_LIMITS = dict.fromkeys(
    ("LOGIN_LIMIT", "LOGIN_ACCOUNT_LIMIT", "LOGIN_GLOBAL_LIMIT", "NETWORK_LIMIT", "ACCOUNT_LIMIT"), "1000000 per minute"
)
"""All load comes from one address and few accounts; that a limit is reached is measured elsewhere."""


@dataclass(frozen=True, slots=True)
class Server:
    """A program that answers: where, which process it is, and how long it took to answer for the first time."""

    url: str
    pid: int
    seconds_to_answer: float


def environment(database_url: str, directory: Path, **more: str) -> dict[str, str]:
    """Write settings down as a server's environment; keys lie in the directory, made when there are none."""
    keys_dir = directory / "keys"
    if not keys_dir.exists():
        keys.create(keys_dir)
    return {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "test",
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET,
        "JWT_KEYS_DIR": str(keys_dir),
        "LOG_LEVEL": "warning",
        "GUNICORN_LOG_LEVEL": "warning",
    } | more


def application(settings: Mapping[str, str]) -> Flask:
    """Make the application with these settings, in this process."""
    return create_app(Settings(**{name.lower(): value for name, value in settings.items() if name != "PATH"}))  # type: ignore[arg-type]  # pydantic validates by name


def migrate(app: Flask, **roles: str) -> None:
    """Bring the schema up to date and make users: the administrator, and one of each role, by address."""
    with app.app_context():
        flask_migrate.upgrade()
        session = db.session()
        for email, role in {EMAIL: "admin", **roles}.items():
            if users.find(session, email) is None:
                users.create(session, email=email, name="Bench", password=PASSWORD, role=role, by=Caller.system())
        session.commit()
        db.engine.dispose()


def gunicorn(target: str, *, workers: int, threads: int | None = None) -> list[str]:
    """Write the command that serves a WSGI application as Stockroom is served."""
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-w", str(workers)]
    return [*command, *(["--threads", str(threads)] if threads else []), "-b", "{address}", target]


@contextmanager
def serving(command: Sequence[str], env: Mapping[str, str], *, path: str = "/health") -> Iterator[Server]:
    """Start a server, whose command names its `{address}`, `{host}` or `{port}`, and stop it at the end."""
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    arguments = [part.format(address=address, host="127.0.0.1", port=port) for part in command]
    process = subprocess.Popen(arguments, cwd=PROJECT, env=dict(env))  # noqa: S603  # list arguments of our own
    try:
        yield Server(f"http://{address}", process.pid, seconds_to_answer(f"http://{address}{path}", process))
    finally:
        process.terminate()
        process.wait(timeout=30)


def seconds_to_answer(url: str, process: subprocess.Popen[bytes] | None = None) -> float:
    """Wait for the first answer, as long as the process lives that is to give it; tells how long it took.

    Raises:
        ClickException: there is none within a minute.

    """
    started = time.monotonic()
    while time.monotonic() < started + PATIENCE_SECONDS and (process is None or process.poll() is None):
        try:
            if httpx.get(url, trust_env=False).is_success:
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    message = f"the server at {url} does not answer"
    raise click.ClickException(message)


def log_in(url: str, email: str, password: str) -> str:
    """Get an access token."""
    with httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False) as client:
        answer = client.post(f"{url}/api/v1/auth/token", json={"username": email, "password": password})
    return str(answer.raise_for_status().json()["access_token"])
