"""A subscriber that behaves as it is told, for better or worse, on plain sockets."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NO_CONTENT = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Received:
    """One request, and when it was there."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def event(self) -> dict[str, object]:
        return orjson.loads(self.body)  # type: ignore[no-any-return]  # an object, as all messages


type Behaviour = Callable[[socket.socket, Received, threading.Event], None]


def status(code: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer with a status."""

    def answer(connection: socket.socket, _: Received, __: threading.Event) -> None:
        lines = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body)}", "Connection: close", *headers]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return answer


def raw(answer: bytes) -> Behaviour:
    """Send these bytes, whatever they are, and close."""

    def say(connection: socket.socket, _: Received, __: threading.Event) -> None:
        connection.sendall(answer)

    return say


def and_hold(answer: bytes) -> Behaviour:
    """Send these bytes and nothing after them, and do not close."""

    def say(connection: socket.socket, _: Received, end: threading.Event) -> None:
        connection.sendall(answer)
        end.wait(60)

    return say


def ok(connection: socket.socket, _: Received, __: threading.Event) -> None:
    connection.sendall(NO_CONTENT)


def hang(_: socket.socket, __: Received, end: threading.Event) -> None:
    end.wait(60)


def drip(connection: socket.socket, _: Received, end: threading.Event) -> None:
    """One byte at a time, and never the last."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not end.wait(0.05):
        connection.sendall(b".")


def reset(connection: socket.socket, _: Received, __: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def say_nothing(connection: socket.socket, _: Received, __: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def garbage(connection: socket.socket, _: Received, __: threading.Event) -> None:
    connection.sendall(b"\x00\xff what is this?\r\n\r\n")


def endless_body(connection: socket.socket, _: Received, end: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while not end.is_set():
        connection.sendall(b"x" * 65536)


def endless_headers(connection: socket.socket, _: Received, end: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while not end.is_set():
        number += 1
        connection.sendall(f"X-Header-{number}: {'y' * 100}\r\n".encode())


def endless_continues(connection: socket.socket, _: Received, end: threading.Event) -> None:
    while not end.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


@dataclass
class Receiver:
    """Listens on a port of its own and answers each request as `behave` says; keeps what it got."""

    behave: Callable[[Received, int], Behaviour] = lambda *_: ok
    requests: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up whoever accepts
        self._listener.close()

    def ids(self) -> list[str]:
        """Tell the `webhook-id` of each request, in the order in which they came."""
        return [one.headers["webhook-id"] for one in self.requests]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            received = _read(connection)
            if received is None:
                return
            with self._lock:
                self.requests.append(received)
                behaviour = self.behave(received, len(self.requests))
            behaviour(connection, received, self._end)


def _read(connection: socket.socket) -> Received | None:
    with connection.makefile("rb") as file:
        first = file.readline()
        if not first.endswith(b"HTTP/1.1\r\n"):
            return None  # it thought better of it, or speaks TLS
        path, headers = first.split()[1].decode(), {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Received(path, headers, file.read(int(headers.get("content-length", "0"))))
