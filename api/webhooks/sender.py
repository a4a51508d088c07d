"""Sending one message: to the addresses that were judged, within a deadline, reading little, following nothing."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpcore
import structlog

from api.webhooks import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from httpcore import AsyncNetworkStream

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 15.0
CONNECT_SECONDS = 4.0
MOST_READ = 64 * 1024
EXCERPT_CHARACTERS = 1_000
LONGEST_RETRY_AFTER = 86_400.0
LONGEST_DETAIL = 500
AGENT = "Stockroom-Webhooks/1"

# What the message itself, the connection or its signature decides (RFC 9110 section 7.6.1, Standard Webhooks).
FORBIDDEN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{0,2000}")

CONNECTION_FAILED = "connection_failed"
PROTOCOL_ERROR = "protocol_error"
TLS_FAILED = "tls_failed"
ENDLESS = "It answered at length without coming to the point."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. `error` is a stable word; without one the endpoint answered 2xx."""

    status: int | None
    error: str | None
    detail: str | None
    duration_ms: int
    excerpt: str | None = None
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has taken the message."""
        return self.error is None


@dataclass
class _Answer:
    status: int
    retry_after: float | None
    excerpt: str


def is_allowed_header(name: str, value: str) -> bool:
    """Tell whether a subscriber may have a header sent along."""
    folded = name.lower()
    is_ours = folded in FORBIDDEN_HEADERS or folded.startswith("webhook-")
    return bool(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)) and value == value.strip() and not is_ours


async def send(
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    allowed: guard.Networks = (),
    deadline: float = DEADLINE_SECONDS,
    trust: ssl.SSLContext | None = None,
) -> Outcome:
    """Send a message by POST and tell what came of it; never raises but when it is cancelled.

    `deadline` in seconds holds for everything together. Redirects are failures (Standard Webhooks), proxies are not
    asked, and the certificate must be for the name in the URL.
    """
    started = time.monotonic()
    try:
        async with asyncio.timeout(deadline):
            answer = await _post(url, headers, body, allowed, trust or _default_trust())
    except guard.NotAllowed as error:
        found = ("not_allowed", str(error))
    except guard.Unresolvable as error:
        found = ("unresolvable", str(error))
    except TimeoutError:
        found = ("timeout", f"No whole answer within {deadline:g} seconds.")
    except ssl.SSLError as error:
        found = (TLS_FAILED, str(error))
    except httpcore.ConnectError as error:
        found = (TLS_FAILED if _is_of_tls(error) else CONNECTION_FAILED, str(error))
    except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
        found = (CONNECTION_FAILED, str(error) or "The connection broke.")
    except (httpcore.ProtocolError, ValueError) as error:
        found = (PROTOCOL_ERROR, str(error))
    except Exception as error:
        # Whatever receivers think of next: without an outcome the message would be tried for ever, and never count.
        log.exception("webhook_attempt_failed")
        found = (PROTOCOL_ERROR, f"The attempt broke: {type(error).__name__}.")
    else:
        error_word, detail = _verdict(answer.status)
        return Outcome(answer.status, error_word, detail, _since(started), answer.excerpt or None, answer.retry_after)
    word, text = found
    return Outcome(None, word, _readable(text)[:LONGEST_DETAIL], _since(started))


async def _post(
    url: str, headers: Mapping[str, str], body: bytes, allowed: guard.Networks, trust: ssl.SSLContext
) -> _Answer:
    target = guard.parse(url)
    addresses = await guard.resolve(target, allowed)
    parsed = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    # A certificate names a host without the dot that may end it.
    extensions = {"sni_hostname": target.host.removesuffix(".")}
    async with (
        httpcore.AsyncConnectionPool(network_backend=_Pinned(addresses), ssl_context=trust) as pool,
        pool.stream("POST", parsed, headers=_headers(target, headers), content=body, extensions=extensions) as response,
    ):
        excerpt = await _beginning(response)
        known = {name.lower(): value for name, value in response.headers}
        return _Answer(
            response.status,
            _retry_after(known.get(b"retry-after", b"").decode("ascii", "replace").strip()),
            _readable(excerpt.decode("utf-8", "replace"))[:EXCERPT_CHARACTERS],
        )


def _headers(target: guard.Target, given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Put ours first; of those given, only what is not ours to decide."""
    headers = {"Host": target.authority, "Content-Type": "application/json", "User-Agent": AGENT, "Connection": "close"}
    for name, value in given.items():
        if not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            message = f"The header {name!a} cannot be sent, or its value not."
            raise ValueError(message)
        if name.lower() not in FORBIDDEN_HEADERS:
            headers[name] = value
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were judged, one after the other, whatever the name would lead to by now."""

    def __init__(self, addresses: Sequence[guard.Address]) -> None:
        self._addresses = addresses
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # it has been looked up
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # as httpcore calls it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        *others, last = map(str, self._addresses)
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Rationed(
                    await self._inner.connect_tcp(address, port, CONNECT_SECONDS, local_address, socket_options)
                )
        return _Rationed(await self._inner.connect_tcp(last, port, timeout, local_address, socket_options))


class _TooMuch(httpcore.RemoteProtocolError):
    """More has come than is read."""


class _Rationed(httpcore.AsyncNetworkStream):
    """Reads so much and no more, of whatever it is: a body, headers, or preludes that never end."""

    def __init__(self, inner: AsyncNetworkStream) -> None:
        self._inner = inner
        self._left = MOST_READ

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # as httpcore calls it
        if self._left <= 0:
            raise _TooMuch(ENDLESS)
        part = await self._inner.read(min(max_bytes, self._left), timeout)
        self._left -= len(part)
        return part

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as httpcore calls it
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # as httpcore calls it
    ) -> AsyncNetworkStream:
        try:
            return _Rationed(await self._inner.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:
            await self.aclose()  # httpcore forgets the connection when a handshake is cancelled
            raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as in httpcore
        return self._inner.get_extra_info(info)


async def _beginning(response: httpcore.Response) -> bytes:
    """Read no more than is read; what follows is not waited for."""
    read = b""
    with suppress(_TooMuch):
        async for part in response.aiter_stream():
            read += part
    return read


def _is_of_tls(error: BaseException | None) -> bool:
    """Tell whether the failure began with TLS; what it is wrapped in says only that there is no connection."""
    return error is not None and (isinstance(error, ssl.SSLError) or _is_of_tls(error.__cause__ or error.__context__))


def _verdict(status: int) -> tuple[str | None, str | None]:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None, None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return "redirected", "It answered with a redirect, which is not followed: change the URL of the endpoint."
    return "http_error", f"It answered {status}; only 2xx counts as delivered."


def _retry_after(text: str) -> float | None:
    seconds: float | None = None
    if re.fullmatch(r"[0-9]{1,10}", text):
        seconds = float(text)
    elif text:
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            moment = parsedate_to_datetime(text)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if seconds is None else min(max(0.0, seconds), LONGEST_RETRY_AFTER)


def _readable(text: str) -> str:
    """Leave out what PostgreSQL cannot store."""
    return text.replace("\0", "")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@cache
def _default_trust() -> ssl.SSLContext:
    return ssl.create_default_context()
