"""What becomes of a connection that ends at the worst moment."""

from __future__ import annotations

import struct
from contextlib import closing, contextmanager, suppress
from socket import AF_UNIX, SHUT_RDWR, create_server, socket
from threading import Thread
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.core.wire import BEGIN, COMMIT, Statement, Task, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = Task(Statement("INSERT INTO locations (id, code, name) VALUES (gen_random_uuid(), 'HERE', 'A place')"))
FAREWELL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"


def test_a_commit_is_not_known_when_the_server_leaves_behind_its_answer(database_url: str) -> None:
    url = database_url.replace("+psycopg", "")
    with leaving_after_commit(url) as proxied, closing(psycopg.connect(proxied)) as connection:
        wire = Wire.of(connection)
        with pytest.raises(psycopg.OperationalError):
            wire.send([BEGIN, PLACE, COMMIT])

        assert wire.is_lost
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT code FROM locations").fetchall() == [("HERE",)]


@contextmanager
def leaving_after_commit(url: str) -> Iterator[str]:
    """Stand between client and server; behind the answer to a COMMIT there comes the server's farewell."""
    there = conninfo_to_dict(url)
    server = socket(AF_UNIX)
    server.connect(f"{there['host']}/.s.PGSQL.{there.get('port') or 5432}")
    with create_server(("127.0.0.1", 0)) as listener, server:
        thread = Thread(target=_serve_one, args=(listener, server))
        thread.start()
        plain = {"sslmode": "disable", "gssencmode": "disable"}  # no negotiation, whose answers have no length
        yield make_conninfo(url, host="127.0.0.1", port=listener.getsockname()[1], **plain)
        with suppress(OSError):
            server.shutdown(SHUT_RDWR)
        thread.join()


def _serve_one(listener: socket, server: socket) -> None:
    client, _ = listener.accept()
    with client:
        onward = Thread(target=_forward, args=(client, server))
        onward.start()
        _answer(server, client)
        with suppress(OSError):
            client.shutdown(SHUT_RDWR)
        onward.join()


def _forward(client: socket, server: socket) -> None:
    with suppress(OSError):
        while part := client.recv(65536):
            server.sendall(part)


def _answer(server: socket, client: socket) -> None:
    """Pass messages on: a type, four bytes of length, and the rest (section 54.7 of PostgreSQL's documentation)."""
    unread, has_committed = b"", False
    while part := server.recv(65536):
        unread += part
        while len(unread) >= 5 and len(unread) > (length := struct.unpack(">I", unread[1:5])[0]):
            message, unread = unread[: length + 1], unread[length + 1 :]
            if has_committed and message.startswith(b"Z"):
                client.sendall(b"E" + struct.pack(">I", len(FAREWELL) + 4) + FAREWELL)
                return
            has_committed |= message.startswith(b"C") and message.endswith(b"COMMIT\0")
            client.sendall(message)
