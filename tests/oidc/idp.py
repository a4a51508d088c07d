"""A small identity provider on loopback that can be as bad as they come."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Claims = dict[str, Any]

AUDIENCE = "stockroom"
LEFT_OUT = object()
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
DRIP_SECONDS = 0.05


@dataclass
class SigningKey:
    """A key of the provider, as it signs and as it is published."""

    algorithm: str
    private: Any
    kid: str = field(default_factory=lambda: str(uuid4()))
    says: Claims = field(default_factory=dict)
    """What its JWK says differently."""

    def sign(self, message: bytes) -> bytes:
        return get_default_algorithms()[self.algorithm].sign(message, self.private)

    def jwk(self) -> Claims:
        shown = get_default_algorithms()[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        shown.pop("key_ops", None)  # PyJWT notes it for some kinds of key only
        entry = {"kid": self.kid, "use": "sig", "alg": self.algorithm, **shown, **self.says}
        return {name: value for name, value in entry.items() if value is not LEFT_OUT}


@cache
def private_key(kind: str, number: int = 0) -> Any:  # noqa: ARG001  # the number tells one from another
    """Make a private key, once for all tests."""
    return {
        "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "weak": lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505  # to be refused
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed": ed25519.Ed25519PrivateKey.generate,
        "ed448": ed448.Ed448PrivateKey.generate,
    }[kind]()


class IdentityProvider:
    """Publishes `keys`, signs tokens with the last of them, counts what it is asked, and answers as it is told to."""

    def __init__(self) -> None:
        self.keys = [SigningKey("ES256", private_key("ec"))]
        self.asked: list[str] = []
        self.behave: Callable[[Handler], None] = answer
        self.says: Claims = {}
        """What the discovery document says differently."""

        self.released = Event()
        """Ends what hangs."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.idp = self
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"

    @property
    def key(self) -> SigningKey:
        return self.keys[-1]

    @property
    def times_asked(self) -> int:
        """How often somebody came for the keys."""
        return sum(path.endswith(DISCOVERY) for path in self.asked)

    def rotate(self) -> None:
        """Sign with a new key and publish only that."""
        self.keys = [SigningKey("ES256", ec.generate_private_key(ec.SECP256R1()))]

    def stop(self) -> None:
        """Be away from now on."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def document(self, path: str) -> object:
        if path.endswith(DISCOVERY):
            return {"issuer": self.issuer, "jwks_uri": self.issuer + KEYS, **self.says}
        return {"keys": [key.jwk() for key in self.keys]}

    def header(self) -> Claims:
        return {"alg": self.key.algorithm, "typ": "at+jwt", "kid": self.key.kid}

    def claims(self) -> Claims:
        now = int(time.time())
        return {"iss": self.issuer, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300, "client_id": "till"}

    def token(self, *, header: Claims | None = None, key: SigningKey | None = None, **claims: object) -> str:
        """Make a token that differs from a good one as a test wants."""
        signed = assemble(self.header() | (header or {}), self.claims() | claims)
        return f"{signed}.{encoded((key or self.key).sign(signed.encode()))}"

    def bearer(self, **differences: Any) -> dict[str, str]:
        """Make the header that carries such a token."""
        return bearer(self.token(**differences))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assemble(header: Claims, claims: Claims) -> str:
    parts = ({name: value for name, value in part.items() if value is not LEFT_OUT} for part in (header, claims))
    return ".".join(encoded(json.dumps(part).encode()) for part in parts)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    idp: IdentityProvider


class Handler(BaseHTTPRequestHandler):
    """Lets the provider answer."""

    server: Server

    def do_GET(self) -> None:
        self.server.idp.asked.append(self.path)
        with suppress(OSError):  # whoever asked has gone
            self.server.idp.behave(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep quiet."""


def answer(handler: Handler, *, status: int = 200, media_type: str = "application/json", padding: int = 0) -> None:
    """Answer as a provider does, or almost."""
    body = json.dumps(handler.server.idp.document(handler.path)).encode() + b" " * padding
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def fail(handler: Handler) -> None:
    answer(handler, status=500)


def answer_in_html(handler: Handler) -> None:
    answer(handler, media_type="text/html")


def answer_at_length(handler: Handler) -> None:
    """Give a good answer, and five megabytes of blanks after it."""
    answer(handler, padding=5_000_000)


def redirect(handler: Handler) -> None:
    """Point at an address that gives the good answer."""
    if "elsewhere" in handler.path:
        answer(handler)
        return
    handler.send_response(302)
    handler.send_header("Location", f"{handler.path}?elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def say_nonsense(handler: Handler) -> None:
    _send(handler, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n{]\xff\x00[}")


def hang_up(handler: Handler) -> None:
    _send(handler, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")


def hang(handler: Handler) -> None:
    """Say nothing until the test ends."""
    handler.server.idp.released.wait()


def drip_headers(handler: Handler) -> None:
    """Never stop with a byte of headers now and then."""
    _send(handler, b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler)


def drip_body(handler: Handler) -> None:
    """Never stop with a blank now and then, which JSON allows."""
    _send(handler, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    _drip(handler)


def _drip(handler: Handler) -> None:
    while not handler.server.idp.released.wait(DRIP_SECONDS):
        _send(handler, b" ")


def _send(handler: Handler, raw: bytes) -> None:
    handler.wfile.write(raw)
    handler.wfile.flush()
    handler.close_connection = True


@contextmanager
def running() -> Iterator[IdentityProvider]:
    """Run a provider."""
    idp = IdentityProvider()
    thread = Thread(target=idp.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield idp
    finally:
        idp.stop()
        thread.join()
