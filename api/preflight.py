"""What must be true of this machine before `flask up` starts anything: each function checks one thing or refuses."""

from __future__ import annotations

import errno
import fcntl
import socket
from typing import TYPE_CHECKING

import click
import psycopg

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from api.config import Settings
    from api.supervisor import Supervisor

OLDEST_POSTGRES = 15
DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


class Refusal(click.ClickException):
    """Something on this machine stands in the way; the message says what to do about it."""

    exit_code = 2


def claim_directory(data_dir: Path, at_end: ExitStack) -> Path:
    """Make the data directory ours until we end; the kernel gives it back even when we are killed."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = at_end.enter_context((data_dir / "up.lock").open("a+", encoding="utf-8"))
    except OSError as error:
        message = f"The data directory {data_dir} cannot be used: {error.strerror}. Choose another with --data-dir."
        raise Refusal(message) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"Another `flask up` already runs on {data_dir}. Stop it, or choose another --data-dir."
        raise Refusal(message) from None
    return data_dir.resolve()


def open_port(host: str, port: int, *, patience: float, supervisor: Supervisor) -> socket.socket:
    """Open the port here and hand it down: it is ours before anything starts, and outlives a crash of the web server.

    `patience` is for what a killed `flask up` left: its web server needs a moment to end.
    """
    where = f"port {port} of {host}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        message = f"--host {host} is not an address of this machine ({error.strerror})."
        raise Refusal(message) from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def is_bound() -> bool:
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            message = f"Cannot listen on {where}: {error.strerror}. Choose others with --host and --port."
            raise Refusal(message) from None
        return True

    if not supervisor.wait_until(is_bound, seconds=patience):
        message = f"Cannot listen on {where}: another program does. Stop it, or choose another with --port."
        raise Refusal(message)
    listener.listen(1024)
    return listener


def libpq_url(settings: Settings) -> str:
    """Say where the database is, as psycopg itself wants to hear it."""
    return settings.sqlalchemy_url.replace("postgresql+psycopg://", "postgresql://", 1)


def check_database(settings: Settings, connections: int, *, must_answer: bool = True) -> None:
    """Refuse a server that is too old, too small, or could lose an acknowledged order with the power.

    One that is away is refused too, unless it need not answer: then it may come later, and is not checked.
    """
    try:
        with psycopg.connect(libpq_url(settings), connect_timeout=5, autocommit=True) as connection:
            version = connection.info.server_version // 10_000
            if version < OLDEST_POSTGRES:
                message = f"The database server is PostgreSQL {version}; Stockroom needs {OLDEST_POSTGRES} or newer."
                raise Refusal(message)
            names = [*DURABILITY, "max_connections"]
            rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names]).fetchall()
    except psycopg.Error as error:
        if not must_answer:
            return
        reason = (str(error).splitlines() or ["no reason given"])[0]
        message = f"The database cannot be reached ({reason}). Start it, or correct DATABASE_URL."
        raise Refusal(message) from None
    found: dict[str, str] = dict(rows)
    if int(found["max_connections"]) < connections:
        message = (
            f"The database server allows {found['max_connections']} connections, Stockroom may open {connections}. "
            "Raise max_connections, or lower --workers or DATABASE_POOL_SIZE."
        )
        raise Refusal(message)
    _check_durability([name for name in DURABILITY if found[name] == "off"], allowed=settings.allow_unsafe_durability)


def _check_durability(off: list[str], *, allowed: bool) -> None:
    if not off:
        return
    danger = f"{', '.join(off)} off in the database server: a power failure can lose orders that were acknowledged."
    if not allowed:
        message = f"{danger} Switch on, or set ALLOW_UNSAFE_DURABILITY=true if these data may be lost."
        raise Refusal(message)
    click.secho(f"WARNING: {danger} ALLOW_UNSAFE_DURABILITY allows it.", fg="red", bold=True, err=True)
