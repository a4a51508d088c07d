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
from typing import TYPE_CHECKING

import httpcore

from api.webhooks import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from httpcore import AsyncNetworkStream

DEADLINE_SECONDS = 15.0
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
    headers: dict[bytes, bytes]
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
        found = (None, "not_allowed", str(error))
    except guard.Unresolvable as error:
        found = (None, "unresolvable", str(error))
    except TimeoutError:
        found = (None, "timeout", f"No whole answer within {deadline:g} seconds.")
    except ssl.SSLError as error:
        found = (None, TLS_FAILED, str(error))
    except httpcore.ConnectError as error:
        found = (None, TLS_FAILED if _is_of_tls(error) else CONNECTION_FAILED, str(error))
    except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
        found = (None, CONNECTION_FAILED, str(error) or "The connection broke.")
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError) as error:
        found = (None, PROTOCOL_ERROR, str(error))
    else:
        duration = _since(started)
        error_word, detail = _verdict(answer.status)
        return Outcome(
            answer.status, error_word, detail, duration, answer.excerpt or None, _retry_after(answer.headers)
        )
    status, word, text = found
    return Outcome(status, word, _readable(text)[:LONGEST_DETAIL], _since(started))


async def _post(
    url: str, headers: Mapping[str, str], body: bytes, allowed: guard.Networks, trust: ssl.SSLContext
) -> _Answer:
    target = guard.parse(url)
    addresses = await guard.resolve(target, allowed)
    fixed = {"Content-Type": "application/json", "User-Agent": AGENT, "Connection": "close"}
    sent = [(name.encode("ascii"), value.encode("ascii")) for name, value in (headers | fixed).items()]  # type: ignore[operator]  # dictionaries both
    async with (
        httpcore.AsyncConnectionPool(network_backend=_Pinned(addresses), ssl_context=trust) as pool,
        pool.stream("POST", url, headers=sent, content=body) as response,
    ):
        excerpt = await _beginning(response.aiter_stream())  # type: ignore[arg-type]  # an async iterator
        known = {name.lower(): value for name, value in response.headers}
        return _Answer(response.status, known, _readable(excerpt.decode("utf-8", "replace"))[:EXCERPT_CHARACTERS])


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were judged, whatever the name would lead to by now."""

    def __init__(self, addresses: Iterable[guard.Address]) -> None:
        self._addresses = [str(address) for address in addresses]
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: object, **options: object) -> AsyncNetworkStream:  # noqa: ARG002  # the name has been looked up
        failure: Exception = OSError("There is no address.")
        for address in self._addresses:
            try:
                return await self._inner.connect_tcp(address, port, *args, **options)  # type: ignore[arg-type]  # handed through
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _beginning(stream: Iterable[bytes]) -> bytes:
    """Read no more than may be read; what follows is not waited for."""
    read = b""
    async for part in stream:  # type: ignore[attr-defined]  # an async iterator
        read += part[: MOST_READ - len(read)]
        if len(read) >= MOST_READ:
            break
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


def _retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    text = headers.get(b"retry-after", b"").decode("ascii", "replace").strip()
    seconds: float | None = None
    if re.fullmatch(r"[0-9]{1,10}", text):
        seconds = float(text)
    elif text:
        with suppress(ValueError, TypeError, IndexError):
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
