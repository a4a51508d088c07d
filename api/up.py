"""`flask up`: the whole of Stockroom on one machine with one command.

Flask finds this command through the project's entry point and so does not load the application for it. Whatever loads
it is imported late and beside the web server, which loads it too: a start takes half as long.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psycopg

from api import preflight
from api.config import RUN_FILE, InvalidSettingsError, Settings
from api.embedded import Postgres, Valkey
from api.supervisor import Command, ServiceError, StopRequestedError, Supervisor

if TYPE_CHECKING:
    import socket

    from api.bootstrap import Prepared

PROJECT = Path(__file__).resolve().parent.parent
HEAD_FILE = PROJECT / "migrations" / ".current-alembic-head"
SHARED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_KEYS_DIR")
"""What other `flask` commands need to work with the same servers."""

ROOMY = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
"""With PostgreSQL's own defaults, loading a year of orders stops again and again for checkpoints."""

DEFAULT_ADMIN = "admin@example.com"
READY_SECONDS = 60.0
WEB_STOP_SECONDS = 35.0
WORKER_STOP_SECONDS = 30.0
SPARE_CONNECTIONS = 8
"""For `psql`, other `flask` commands and the server's own reserve."""

PORT_SECONDS = 10.0
"""How long a port may still belong to the rest of a `flask up` that was killed."""


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    host: str
    port: int
    workers: int
    threads: int
    data_dir: Path
    demo: bool
    admin_email: str
    admin_password: str | None


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="Threads of each of them.")
@click.option(
    "--data-dir",
    default="instance",
    show_default=True,
    envvar="DATA_DIR",
    type=click.Path(path_type=Path),
    help="Where keys, secrets and the embedded servers' data live.",
)
@click.option("--demo", is_flag=True, help="Load the sample data when there are none yet.")
@click.option("--admin-email", default=DEFAULT_ADMIN, show_default=True, envvar="ADMIN_EMAIL")
@click.option("--admin-password", envvar="ADMIN_PASSWORD", help="Of the first administrator; made up when left out.")
def up(**options: object) -> None:
    """Run everything: database, Valkey, migrations, first administrator, web server and task worker."""
    chosen = Options(**options)  # type: ignore[arg-type]  # click has checked the types
    try:
        with ExitStack() as at_end, Supervisor(_say) as supervisor:
            _run(chosen, supervisor, at_end)
    except StopRequestedError:
        _say("Stopped before it was ready.")
    except (InvalidSettingsError, ServiceError) as error:
        raise preflight.Refusal(str(error)) from None


def _run(options: Options, supervisor: Supervisor, at_end: ExitStack) -> None:
    data_dir = preflight.claim_directory(options.data_dir, at_end)
    _say(f"Starting Stockroom in {data_dir} …")
    run_file = data_dir / RUN_FILE
    was_killed = run_file.exists()
    run_file.unlink(missing_ok=True)
    configured = Settings.load(data_dir=data_dir)
    connections = _connections(options, configured)
    patience = PORT_SECONDS if was_killed else 0
    listener = preflight.open_port(options.host, options.port, patience=patience, supervisor=supervisor)
    at_end.enter_context(listener)

    os.environ.update(_start_servers(configured, data_dir, supervisor, connections))
    settings = Settings.load()
    preflight.check_database(settings, connections)
    web, tasks = _commands(options, listener)
    site = _Site(listener, settings)
    # Loading the application takes seconds, so unless the schema is about to change, the web server loads it meanwhile.
    is_migrated = _is_migrated(settings)
    if is_migrated:
        supervisor.start(web)
    prepared = _prepare(settings, options)
    at_end.callback(run_file.unlink, missing_ok=True)
    _write_private(run_file, json.dumps({name.lower(): os.environ[name] for name in SHARED}))
    if not is_migrated:
        supervisor.start(web)
    if not supervisor.wait_until(site.is_ready, seconds=READY_SECONDS):
        message = f"Stockroom was not ready within {READY_SECONDS:.0f} s; the messages above should say why."
        raise ServiceError(message)
    supervisor.start(tasks)
    _announce(site.url, options, prepared)
    supervisor.run()
    _say("Stopping.")
    listener.close()


def _connections(options: Options, settings: Settings) -> int:
    """Count the database connections that all our processes may open; each web thread must be able to have one."""
    pool = settings.database_pool_size
    if options.threads > pool:
        message = f"--threads {options.threads} needs DATABASE_POOL_SIZE to be at least as large; it is {pool}."
        raise preflight.Refusal(message)
    return (options.workers + 1) * pool + SPARE_CONNECTIONS


def _start_servers(settings: Settings, data_dir: Path, supervisor: Supervisor, connections: int) -> dict[str, str]:
    """Start and create what the environment does not name; return what to add to it."""
    made = {"DATA_DIR": str(data_dir)}
    if settings.database_url is None:
        postgres = Postgres(data_dir, options={"max_connections": str(max(100, connections + 10)), **ROOMY})
        supervisor.start(postgres)
        postgres.create_database()
        made["DATABASE_URL"] = postgres.url()
    if settings.redis_url is None:
        valkey = Valkey(data_dir)
        supervisor.start(valkey)
        made["REDIS_URL"] = valkey.url
    if settings.secret_key is None:
        secret = data_dir / "secret_key"
        if not secret.exists():
            _write_private(secret, secrets.token_urlsafe(48))
        made["SECRET_KEY"] = secret.read_text("utf-8")
    if settings.jwt_keys_dir is None:
        _ensure_keys(settings.keys_dir)
        made["JWT_KEYS_DIR"] = str(settings.keys_dir)
    return made


def _ensure_keys(directory: Path) -> None:
    if not any(directory.glob("*.pem")):
        from api.auth import keys  # noqa: PLC0415  # needed once in the life of an installation

        keys.create(directory)


def _prepare(settings: Settings, options: Options) -> Prepared:
    from api.bootstrap import prepare  # noqa: PLC0415  # loads the application: the web server is doing so already

    return prepare(settings, admin_email=options.admin_email, admin_password=options.admin_password, demo=options.demo)


def _write_private(path: Path, text: str) -> None:
    """Write a file for our eyes only, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _is_migrated(settings: Settings) -> bool:
    head = HEAD_FILE.read_text("utf-8").strip()
    with psycopg.connect(preflight.libpq_url(settings)) as connection, suppress(psycopg.errors.UndefinedTable):
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")] == [head]
    return False


def _commands(options: Options, listener: socket.socket) -> tuple[Command, Command]:
    """Describe the web server and the task worker."""
    web = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--log-level", "warning"]
    web += ["--bind", f"fd://{listener.fileno()}"]
    web += ["--workers", str(options.workers), "--threads", str(options.threads), "wsgi:app"]
    tasks = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    return (
        Command("The web server", web, cwd=PROJECT, stop_seconds=WEB_STOP_SECONDS, keep_open=(listener.fileno(),)),
        Command("The task worker", tasks, cwd=PROJECT, stop_seconds=WORKER_STOP_SECONDS),
    )


class _Site:
    """The running site, seen from outside."""

    def __init__(self, listener: socket.socket, settings: Settings) -> None:
        host, self._port = listener.getsockname()[:2]
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        self._headers = {"Host": settings.trusted_hosts[0].lstrip(".")} if settings.trusted_hosts else {}

    @property
    def url(self) -> str:
        return f"http://[{self._host}]:{self._port}" if ":" in self._host else f"http://{self._host}:{self._port}"

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=2)
        try:
            connection.request("GET", "/ready", headers=self._headers)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _announce(url: str, options: Options, prepared: Prepared) -> None:
    from rich.console import Console  # noqa: PLC0415  # not before the web server is up
    from rich.panel import Panel  # noqa: PLC0415  # the same
    from rich.text import Text  # noqa: PLC0415  # the same

    lines = [("API", f"{url}/api/v1"), ("Swagger UI", f"{url}/docs"), ("ReDoc", f"{url}/redoc")]
    if prepared.password:
        lines.append(("Administrator", options.admin_email))
        if not options.admin_password:
            lines.append(("Password", f"{prepared.password}  (shown this once)"))
    if prepared.sample:
        lines.append(("Loaded", prepared.sample))
    text = "\n".join(f"{label:<14} {value}" for label, value in lines)
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(
            Panel(Text(text, no_wrap=True), title="Stockroom is ready", subtitle="Ctrl-C stops it", expand=False)
        )
    else:
        _say(f"Stockroom is ready\n{text}")


def _say(line: str) -> None:
    click.echo(line)
