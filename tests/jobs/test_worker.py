"""`flask worker` as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import procrastinate
import psycopg
import pytest

from tests.conftest import PROJECT
from tests.jobs.kept import keep, kept
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSEKEEPING = "stockroom:forget_idempotency_keys"


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_it_does_what_is_enqueued_and_ends_cleanly_when_told_to(
    server_environment: dict[str, str], database_url: str, word: signal.Signals
) -> None:
    keep(database_url, old="1 year", new="0 seconds")

    with worker(server_environment) as process:
        job = enqueue(database_url)
        wait_until(lambda: status(database_url, job) == "succeeded" or process.poll() is not None, seconds=60)
        process.send_signal(word)
        output, _ = process.communicate(timeout=10)

    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert status(database_url, job) == "succeeded"
    assert kept(database_url) == {"new"}


def test_what_a_killed_worker_was_at_is_done_by_the_next(server_environment: dict[str, str], database_url: str) -> None:
    environment = server_environment | {"DATABASE_LOCK_TIMEOUT_MS": "15000"}
    keep(database_url, old="1 year")

    with psycopg.connect(conninfo(database_url)) as in_the_way, worker(environment) as first:
        in_the_way.execute("LOCK TABLE idempotency_keys")
        job = enqueue(database_url)
        wait_until(lambda: status(database_url, job) == "doing", seconds=60)
        first.kill()
        first.wait(10)
    assert status(database_url, job) == "doing"
    assert kept(database_url) == {"old"}
    with psycopg.connect(conninfo(database_url)) as meanwhile:
        meanwhile.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '61 seconds'")
    enqueue(database_url, "stockroom:revive_jobs")
    with worker(server_environment):
        wait_until(lambda: status(database_url, job) == "succeeded", seconds=60)

    assert kept(database_url) == set()


def enqueue(database_url: str, task: str = HOUSEKEEPING) -> int:
    """Ask for housekeeping, as the clock of a worker does; tell the job's number."""
    connector = procrastinate.SyncPsycopgConnector(conninfo=conninfo(database_url))
    with procrastinate.App(connector=connector).open() as queue:
        return queue.configure_task(task).defer(timestamp=0)


def status(database_url: str, job: int) -> str:
    """Tell how far a job is; the worker's own clock may have added others."""
    with psycopg.connect(conninfo(database_url)) as connection:
        ((found,),) = connection.execute("SELECT status::text FROM procrastinate_jobs WHERE id = %s", [job])
    return str(found)


def conninfo(database_url: str) -> str:
    """Write an SQLAlchemy URL as PostgreSQL's own tools read it."""
    return database_url.replace("+psycopg", "")


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a worker; end it in any case."""
    command = [sys.executable, "-m", "flask", "worker"]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)
