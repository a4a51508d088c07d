"""Driving load with wrk, which costs a tenth of what it drives (`apt-get install wrk`)."""

from __future__ import annotations

import json
import os
import resource
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, over and over."""

    path: str
    """`ITEM` in it stands for the id of one item after the other, drawn at random."""

    method: str = "GET"
    role: str = "customer"
    lines: int = 0
    """How many lines each order has; 0 sends no body."""

    copy: str = ""
    """The tag of the copy that the client has (If-None-Match)."""

    answer: int = 200
    """The status that all must be answered with."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came back in one go. Times are in milliseconds."""

    requests: int
    seconds: float
    bytes: int
    refused: int
    """Answers with a status of 400 or more."""

    broken: int
    """Connections that failed, and requests without an answer."""

    p50: float
    p90: float
    p99: float
    longest: float

    client: float = 0.0
    """How many cores the client took; close to one, it would be the client that was measured."""

    server_ms: float = 0.0
    """What an answer cost the processors: in the server's processes,"""

    database_ms: float = 0.0
    """and in PostgreSQL's."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


THREADS = 2
"""Of wrk; each takes as many of the connections."""


def drive(urls: Sequence[str], request: Request, *, token: str, items: int, connections: int, seconds: int) -> Run:
    """Send the same kind of request over so many connections for so long, as many to each of up to two servers."""
    wrk = shutil.which("wrk")
    if wrk is None:
        message = "wrk is missing: apt-get install wrk"
        raise click.ClickException(message)
    told = {
        "SERVERS": " ".join(url.removeprefix("http://") for url in urls),
        "ITEMS": str(items),
        "LINES": str(request.lines),
        "REQUEST_PATH": request.path,
        "REQUEST_METHOD": request.method,
        "KEYS": secrets.token_hex(8),
        "SEED": str(secrets.randbits(31)),
        "TOKEN": token,
        "COPY": request.copy,
    }
    command = [wrk, "-t", str(THREADS), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), urls[0]]
    before = seconds_of_children()
    done = subprocess.run(command, env=os.environ | told, check=True, capture_output=True, text=True)  # noqa: S603  # list arguments of our own
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return Run(**found, client=(seconds_of_children() - before) / found["seconds"])


def seconds_of_children() -> float:
    """Tell how long processors have worked for children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
