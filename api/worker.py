"""gunicorn's threaded worker, with less going to and fro for each request.

Its threads hand a connection back to the main thread after every answer, which watches it and hands it to a thread
again. That is right for connections that rest, and takes a tenth of the work of a short request on those that do not.
So a thread stays for a moment with a connection it has answered, unless others wait for a thread. And it sends head
and body of an answer together: each time it sends, other threads go first.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import ThreadWorker

if TYPE_CHECKING:
    from socket import socket

    from gunicorn.http.message import Request
    from gunicorn.workers.gthread import TConn

STAYS_FOR_MS = 1
"""How long a thread waits for the next request of the client it has just answered."""

MOST_HELD_BYTES = 65_536
"""A longer answer is sent in parts."""


class HeldSocket:
    """A socket that keeps what is sent of one answer until there is much of it, or all."""

    def __init__(self, socket_: socket) -> None:
        """Hold nothing back yet."""
        self._socket = socket_
        self._held: list[bytes] | None = None
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a socket has
        """Be a socket in all other things."""
        return getattr(self._socket, name)

    def hold(self) -> None:
        """Keep what is sent from now on."""
        self._held = []

    def release(self) -> None:
        """Send what was kept, and from now on everything at once."""
        self._flush()
        self._held = None

    def sendall(self, data: bytes | memoryview, *flags: int) -> None:
        """Keep this, or send it with what was kept."""
        if self._held is None:
            self._socket.sendall(data, *flags)
            return
        self._held.append(bytes(data))
        self._bytes += len(data)
        if self._bytes > MOST_HELD_BYTES:
            self._flush()

    def sendfile(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401  # whatever a socket's takes
        """Send a file after what was kept."""
        self._flush()
        return self._socket.sendfile(*args, **kwargs)

    def shutdown(self, how: int) -> None:
        """End the connection after what was kept."""
        with suppress(OSError):
            self._flush()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the connection after what was kept."""
        with suppress(OSError):
            self._flush()
        self._socket.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._bytes = self._held, [], 0
            self._socket.sendall(b"".join(held))


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """What `gunicorn.conf.py` names as the class of workers."""

    def handle(self, conn: TConn) -> object:
        """Answer a request, and those that follow it at once."""
        kept = super().handle(conn)
        while kept is True and self.alive and not self.has_queue and _has_more(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Answer one request."""
        if not isinstance(conn.sock, HeldSocket):
            conn.sock = HeldSocket(conn.sock)
        conn.sock.hold()
        try:
            keeps: bool = super().handle_request(req, conn)
        except BaseException:
            with suppress(OSError):  # it is closed by now where an answer had begun
                conn.sock.release()
            raise
        conn.sock.release()
        return keeps

    @property
    def has_queue(self) -> bool:
        """Tell whether a connection waits for a thread."""
        return not self.tpool._work_queue.empty()  # noqa: SLF001  # the executor does not tell otherwise


def _has_more(conn: TConn) -> bool:
    """Tell whether the client has sent something, or does so now."""
    if conn.parser.unreader.buf.getvalue():
        return True
    news = select.poll()
    news.register(conn.sock.fileno(), select.POLLIN)
    return bool(news.poll(STAYS_FOR_MS))
