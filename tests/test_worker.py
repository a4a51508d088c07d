"""The web worker's threads: who they answer, in which order, and what goes over the wire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from socket import SHUT_WR, create_connection, socketpair
from typing import TYPE_CHECKING

import pytest

from api.worker import MOST_HELD_BYTES, HeldSocket
from tests.conftest import environment_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

    import httpx

    from api.embedded import Postgres, Valkey

CLIENTS, REQUESTS = 20, 30


@pytest.fixture(scope="module")
def server(postgres: Postgres, valkey: Valkey, keys_dir: Path) -> Iterator[httpx.URL]:
    """A server for all tests here: none of them comes as far as a table."""
    with serving(environment_of(postgres.url("postgres"), valkey, keys_dir), path="/health") as url:
        yield url


@pytest.fixture
def pair() -> Iterator[tuple[HeldSocket, socket]]:
    """Both ends of a connection; ours holds back what it is told to."""
    ours, theirs = socketpair()
    with ours, theirs:
        theirs.settimeout(0.05)
        yield HeldSocket(ours), theirs


def received(theirs: socket) -> bytes:
    """Read what has arrived."""
    arrived = b""
    try:
        while part := theirs.recv(1 << 20):
            arrived += part
    except TimeoutError:
        pass
    return arrived


def test_an_answer_is_sent_when_it_is_complete(pair: tuple[HeldSocket, socket]) -> None:
    ours, theirs = pair

    ours.hold()
    ours.sendall(b"head")
    ours.sendall(memoryview(b"body"))
    before = received(theirs)
    ours.release()
    after = received(theirs)
    ours.sendall(b"at once")

    assert (before, after, received(theirs)) == (b"", b"headbody", b"at once")


def test_of_a_long_answer_no_more_is_held_back_than_that(pair: tuple[HeldSocket, socket]) -> None:
    ours, theirs = pair

    ours.hold()
    for _ in range(5):
        ours.sendall(b"x" * (MOST_HELD_BYTES // 4))
    before = received(theirs)
    ours.sendall(b"the end")
    ours.release()

    assert len(before) == 5 * (MOST_HELD_BYTES // 4)
    assert received(theirs) == b"the end"


def test_what_was_kept_of_an_answer_that_fails_is_sent_before_the_end(pair: tuple[HeldSocket, socket]) -> None:
    ours, theirs = pair

    ours.hold()
    ours.sendall(b"half of it")
    ours.shutdown(SHUT_WR)

    assert received(theirs) == b"half of it"


def test_a_file_follows_what_was_sent_before_it(pair: tuple[HeldSocket, socket]) -> None:
    ours, theirs = pair

    ours.hold()
    ours.sendall(b"head ")
    with Path(__file__).open("rb") as file:
        ours.sendfile(file, 0, 10)

    assert received(theirs) == b"head " + Path(__file__).read_bytes()[:10]


def test_requests_that_come_together_are_answered_in_their_order(server: httpx.URL) -> None:
    paths = [b"/health", b"/nowhere", b"/health"]
    with create_connection((server.host, server.port or 0), timeout=10) as connection:
        connection.sendall(b"".join(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths))
        connection.settimeout(5)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 3 or not answer.endswith(b"}"):
            part = connection.recv(65536)
            assert part, answer
            answer += part.rstrip()

    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_more_clients_than_threads_are_all_answered(server: httpx.URL) -> None:
    def ask(_: int) -> list[int]:
        connection = HTTPConnection(server.host, server.port or 0, timeout=20)
        statuses = []
        for _ in range(REQUESTS):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(CLIENTS) as clients:
        answered = list(clients.map(ask, range(CLIENTS)))

    assert answered == [[200] * REQUESTS] * CLIENTS
