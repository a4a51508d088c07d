"""`flask up` as a person at a terminal meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from api.embedded import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
"""Machines differ; a deadline here only keeps a broken run from hanging."""

OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_KEYS_DIR", "DATA_DIR", "ENVIRONMENT", "ADMIN_EMAIL")


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        pause.wait(0.05)


def environment(**extra: str) -> dict[str, str]:
    """Give `flask up` an environment in which nothing is configured but `extra`."""
    return {name: value for name, value in os.environ.items() if name not in OURS} | extra


def command_line(process: psutil.Process) -> str:
    """Tell how a process was started; nothing when it has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


class Terminal:
    """One `flask up` and what it printed."""

    def __init__(self, data_dir: Path, *options: str, **extra: str) -> None:
        """Start it on a free port."""
        self.data_dir = data_dir
        self.output = data_dir.parent / f"{data_dir.name}-{time.monotonic_ns()}.txt"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flask", "up", "--port", "0", "--data-dir", str(data_dir), *options],
                cwd=PROJECT,
                env=environment(**extra),
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return self.output.read_text("utf-8")

    @property
    def url(self) -> str:
        """Where it serves."""
        found = re.search(r"API +(http://\S+)/api/v1", self.text)
        assert found, self.text
        return found[1]

    def wait_ready(self) -> Terminal:
        """Wait for the addresses it prints when it is ready."""
        eventually(lambda: "ReDoc" in self.text or self.process.poll() is not None, "getting ready")
        assert self.process.poll() is None, self.text
        return self

    def is_ready(self) -> bool:
        """Ask the site itself."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5) as answer:  # noqa: S310  # http on loopback
                return bool(answer.status == 200)
        except OSError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Everything it started, and what that started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, word: str) -> psutil.Process:
        """Find the child whose command line has these words."""
        for process in psutil.Process(self.process.pid).children():
            if word in command_line(process):
                return process
        pytest.fail(f"no child {word}")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start `flask up`, in a directory of the test's own unless told otherwise; nothing outlives the test."""
    begun: list[Terminal] = []

    def start_one(*options: str, data_dir: Path | None = None, **extra: str) -> Terminal:
        begun.append(Terminal(data_dir or tmp_path / "data", *options, **extra))
        return begun[-1]

    yield start_one
    for terminal in begun:
        if terminal.process.poll() is None:
            terminal.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A `flask up` that goes on through everything that is done to its children."""
    terminal = Terminal(tmp_path_factory.mktemp("running") / "data")
    try:
        yield terminal.wait_ready()
    finally:
        code = terminal.end()
    assert code == 0


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start a PostgreSQL of the operator's own with the given settings; gives its URL."""
    servers: list[Postgres] = []

    def start_one(**options: str) -> str:
        server = Postgres.start(tmp_path / "elsewhere", options=options)
        servers.append(server)
        server.create_database()
        return server.url()

    yield start_one
    for server in servers:
        server.stop()


def assert_refused(terminal: Terminal, sentence: str) -> None:
    """Expect exit code 2 and a sentence, nothing that looks like a crash."""
    assert terminal.process.wait(PATIENCE) == 2, terminal.text
    assert sentence in terminal.text
    assert "Traceback" not in terminal.text


def login(url: str, password: str) -> int:
    """Log the first administrator in; gives the status."""
    request = urllib.request.Request(  # noqa: S310  # http on loopback
        f"{url}/api/v1/auth/token",
        data=json.dumps({"username": "admin@example.com", "password": password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # http on loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class TestAnOrdinaryDay:
    """It starts, serves, ends, and starts again."""

    def test_it_starts_from_nothing_ends_cleanly_and_starts_again_with_its_data(
        self, start: Callable[..., Terminal]
    ) -> None:
        terminal = start().wait_ready()
        password = re.search(r"Password +(\S+)", terminal.text)
        assert password
        assert login(terminal.url, password[1]) == 200
        for name in ("run.json", "secret_key"):
            assert (terminal.data_dir / name).stat().st_mode & 0o777 == 0o600
        eventually(lambda: len(terminal.processes()) > 4, "everything running")
        started = terminal.processes()
        assert terminal.end() == 0
        assert not [process for process in started if process.is_running()]
        assert not (terminal.data_dir / "run.json").exists()

        again = start().wait_ready()
        assert "Password" not in again.text
        assert login(again.url, password[1]) == 200
        assert again.end(signal.SIGTERM) == 0

    def test_a_given_password_is_used_and_not_shown(self, start: Callable[..., Terminal]) -> None:
        terminal = start("--admin-email", "admin@example.com", ADMIN_PASSWORD="a long enough pass phrase").wait_ready()
        assert "a long enough pass phrase" not in terminal.text
        assert login(terminal.url, "a long enough pass phrase") == 200

    def test_a_ctrl_c_before_it_is_ready_ends_it_cleanly(self, start: Callable[..., Terminal]) -> None:
        terminal = start()
        eventually(lambda: any("postgres" in p.name() for p in terminal.processes()), "the database starting")
        assert terminal.end() == 0, terminal.text
        assert "Traceback" not in terminal.text


class TestWhatDies:
    """Deaths are repaired, and nobody is left behind."""

    @pytest.mark.parametrize(
        ("word", "name"),
        [
            ("-m gunicorn", "The web server"),
            ("wsgi worker", "The task worker"),
            ("bin/postgres", "PostgreSQL"),
            ("valkey-server", "Valkey"),
        ],
    )
    def test_a_killed_child_is_started_again(self, running: Terminal, word: str, name: str) -> None:
        victim = running.child(word)
        victim.kill()
        eventually(lambda: f"{name} was ended by SIGKILL; it starts again" in running.text, "noticing")
        eventually(lambda: any(word in command_line(p) for p in running.processes()), "starting again")
        eventually(running.is_ready, "being ready again")

    def test_a_killed_flask_up_takes_its_children_along_and_starts_again_on_the_same_port(
        self, start: Callable[..., Terminal]
    ) -> None:
        terminal = start().wait_ready()
        children = terminal.processes()
        port = terminal.url.rpartition(":")[2]
        terminal.end(signal.SIGKILL)
        again = start("--port", port).wait_ready()
        assert again.is_ready()
        _, left = psutil.wait_procs(children, timeout=PATIENCE)
        assert not left


class TestRefusals:
    """What stands in the way is said in a sentence, with exit code 2."""

    def test_a_taken_port_is_refused_with_a_sentence(self, start: Callable[..., Terminal]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            assert_refused(start("--port", str(port)), f"Cannot listen on port {port}")

    def test_a_data_directory_that_cannot_be_made_is_refused(
        self, start: Callable[..., Terminal], tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        assert_refused(start("--data-dir", str(tmp_path / "file" / "data")), "cannot be used")

    def test_a_second_flask_up_on_the_same_data_is_refused(
        self, start: Callable[..., Terminal], running: Terminal
    ) -> None:
        assert_refused(start(data_dir=running.data_dir), "already runs on")
        assert running.is_ready()

    def test_a_database_that_is_away_is_refused(self, start: Callable[..., Terminal]) -> None:
        terminal = start(DATABASE_URL="postgresql://somebody:hidden@127.0.0.1:1/nowhere")
        assert_refused(terminal, "The database cannot be reached")
        assert "hidden" not in terminal.text

    def test_a_database_server_that_is_too_old_is_refused(self, start: Callable[..., Terminal]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=pretend_to_be_postgres_14, args=(listener,), daemon=True).start()
            url = f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/stockroom?sslmode=disable"
            assert_refused(start(DATABASE_URL=url), "PostgreSQL 14; Stockroom needs 15 or newer")

    @pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
    def test_a_database_that_forgets_is_refused(
        self, start: Callable[..., Terminal], postgres: Callable[..., str], name: str
    ) -> None:
        assert_refused(start(DATABASE_URL=postgres(**{name: "off"})), f"{name} off in the database server")

    def test_a_database_that_forgets_can_be_allowed_and_is_warned_about(
        self, start: Callable[..., Terminal], postgres: Callable[..., str]
    ) -> None:
        terminal = start(DATABASE_URL=postgres(fsync="off"), ALLOW_UNSAFE_DURABILITY="true").wait_ready()
        assert "WARNING: fsync off" in terminal.text

    def test_a_wrong_setting_is_refused_by_its_name(self, start: Callable[..., Terminal]) -> None:
        assert_refused(start(CURRENCY="POUNDS"), "CURRENCY: 'POUNDS' is not an ISO 4217 currency code")

    def test_more_threads_than_connections_are_refused(self, start: Callable[..., Terminal]) -> None:
        assert_refused(start("--threads", "9", DATABASE_POOL_SIZE="8"), "DATABASE_POOL_SIZE")


def pretend_to_be_postgres_14(listener: socket.socket) -> None:
    """Greet one client as PostgreSQL 14 does, and no more."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        version = b"server_version\0" + b"14.9\0"
        encoding = b"client_encoding\0" + b"UTF8\0"
        connection.sendall(b"R" + struct.pack("!ii", 8, 0))
        for parameter in (version, encoding):
            connection.sendall(b"S" + struct.pack("!i", 4 + len(parameter)) + parameter)
        connection.sendall(b"Z" + struct.pack("!i", 5) + b"I")
        connection.recv(4096)
