"""How gunicorn serves Stockroom. Every choice an operator may differ on is an environment variable."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

MEMORY_FILES = Path("/dev/shm")  # noqa: S108  # only looked at; gunicorn makes its file there with mkstemp

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "api.worker.Worker"
threads = int(os.environ.get("WEB_THREADS", "4"))

# A heartbeat of the worker, not a limit for a request: statement and lock time-outs limit requests.
timeout = 30
graceful_timeout = int(os.environ.get("GRACEFUL_TIMEOUT_SECONDS", "30"))
# Behind a proxy that keeps connections open, set it above the proxy's own idle time, or the proxy meets resets.
keepalive = int(os.environ.get("KEEPALIVE_SECONDS", "5"))

# The application is loaded once and forked: workers start at once, share its memory, and a mistake in the settings ends
# the master with one message instead of a loop of dying workers. What must not cross the fork is dealt with below.
preload_app = True

# A worker proves it is alive by touching a file; on a disk that is busy it would be taken for dead.
worker_tmp_dir = str(MEMORY_FILES) if os.access(MEMORY_FILES, os.W_OK) else None

# Whose X-Forwarded-Proto is believed. Name your proxy's address, never "*".
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
http_protocols = "h1"
http2_cleartext = "off"
control_socket_disable = True

# The application writes one line for each request, with its id and account.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "info")


# To check a password takes 19 MiB for a moment. The GNU C library would keep as much for every thread that has done so;
# told where large blocks begin, it gives them back (mallopt(3)). Others have nothing to be told.
LARGE_BYTES, MMAP_THRESHOLD = 2**20, -3
with suppress(AttributeError):
    ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE_BYTES)


def on_starting(server: Arbiter) -> None:
    """Refuse a database server on which an acknowledged order could be lost. One that is away may come later."""
    from api.config import Settings  # noqa: PLC0415  # gunicorn reads this file before it sets the import path
    from api.preflight import Refusal, check_database  # noqa: PLC0415  # the same

    settings = Settings.load()
    try:
        check_database(settings, server.cfg.workers * settings.database_pool_size, must_answer=False)
    except Refusal as refusal:
        refusal.show()
        raise SystemExit(refusal.exit_code) from None


def post_fork(_server: Arbiter, worker: Worker) -> None:
    """Forget database connections of the master: two processes that speak on one socket corrupt each other's answers.

    They are dropped, not closed; closing would send a farewell on the master's own connection.
    """
    from api.extensions import db  # noqa: PLC0415  # gunicorn reads this file before it sets the import path

    with worker.app.wsgi().app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)


def post_worker_init(worker: Worker) -> None:
    """Let requests that wait for events end when the worker is told to."""
    worker.app.wsgi().extensions["waiting_room"].is_closing = lambda: not worker.alive
