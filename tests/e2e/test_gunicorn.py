"""What the web server does with databases and requests that are not as they should be."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from socket import create_connection
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.conftest import answers, environment_of, gunicorn, serving
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from api.embedded import Postgres, Valkey

PASSWORDS, HASH_BYTES = 16, 19 * 2**20


def test_a_database_that_could_lose_orders_with_the_power_is_refused(server_environment: dict[str, str]) -> None:
    del server_environment["ALLOW_UNSAFE_DURABILITY"]
    with gunicorn(server_environment) as (process, _):
        complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "fsync off" in complaint
    assert "Traceback" not in complaint


def test_without_a_database_the_process_is_alive_and_not_ready(server_environment: dict[str, str]) -> None:
    server_environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/nothing"
    with gunicorn(server_environment) as (process, url):
        wait_until(lambda: answers(url.join("/health"), process), seconds=60)
        ready = httpx.get(url.join("/ready"))
        token = httpx.post(url.join("/api/v1/auth/token"), json={"username": "ada@example.com", "password": "x"})
    assert ready.status_code == 503
    assert ready.json()["error"]["details"][0]["code"] == "database_not_ready"
    assert token.status_code == 503
    assert token.json()["error"]["code"] == "database_unavailable"
    assert int(token.headers["Retry-After"]) > 0


@pytest.fixture(scope="module")
def server(postgres: Postgres, valkey: Valkey, keys_dir: Path) -> Iterator[httpx.URL]:
    """A server for all tests here: none of them comes as far as a table."""
    with serving(environment_of(postgres.url("postgres"), valkey, keys_dir), path="/health") as url:
        yield url


def test_broken_requests_are_answered_400_and_the_server_goes_on(server: httpx.URL) -> None:
    post = b"POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    broken = {
        "no host": b"GET /health HTTP/1.1\r\n\r\n",
        "negative chunk": post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        "two lengths": post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "length and chunks": post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    }
    statuses = {name: _raw(server, request)[0] for name, request in broken.items()}
    assert statuses == dict.fromkeys(broken, 400)
    assert httpx.get(server.join("/health")).status_code == 200


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "DELETE"])
def test_a_method_that_is_not_offered_is_405_with_allow(server: httpx.URL, method: str) -> None:
    answer = httpx.request(method, server.join("/api/v1/orders"))
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_an_address_that_is_not_text_is_404(server: httpx.URL) -> None:
    status, body = _raw(server, b"GET /api/v1/items/%00%ff%0a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status == 404
    assert body["error"]["code"] == "not_found"


def test_a_chunked_body_over_the_limit_is_refused_and_not_cut(server: httpx.URL) -> None:
    body = b'{"username": "ada@example.com", "password": "x"}'
    chunks = [body + b" " * (2 * 1024 * 1024 - len(body)), b', "username": "eve@example.com"}']
    answer = httpx.post(
        server.join("/api/v1/auth/token"), content=iter(chunks), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def _raw(url: httpx.URL, request: bytes) -> tuple[int, dict[str, Any]]:
    with create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(10)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if b"Content-Length" in answer and answer.endswith(b"}\n"):
                break
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else {}


def test_passwords_that_are_checked_leave_no_memory_behind(server_environment: dict[str, str]) -> None:
    """Each takes 19 MiB for a moment, and the C library would keep as much for every thread."""
    with gunicorn(server_environment) as (process, url):
        wait_until(lambda: answers(url.join("/ready"), process), seconds=60)
        assert set(map(_log_in, [url] * 4, range(4))) == {401}
        before = _resident(process.pid)
        with ThreadPoolExecutor(PASSWORDS) as threads:
            statuses = list(threads.map(_log_in, [url] * PASSWORDS, range(4, 4 + PASSWORDS)))
        after = _resident(process.pid)

    assert set(statuses) == {401}
    assert after - before < HASH_BYTES


def _log_in(url: httpx.URL, number: int) -> int:
    nobody = {"username": f"nobody{number}@example.com", "password": "a wrong horse"}
    return httpx.post(url.join("/api/v1/auth/token"), json=nobody, timeout=60).status_code


def _resident(pid: int) -> int:
    return sum(worker.memory_info().rss for worker in psutil.Process(pid).children())
