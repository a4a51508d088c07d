"""The identity provider: asked for its keys now and then, never while a request could do without."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from functools import cache
from http import HTTPStatus
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, cast

import httpx
import orjson
import structlog

from api.oidc import jwks
from api.oidc.errors import ProviderUnavailable
from api.oidc.jwks import UnusableAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from ssl import SSLContext

    from api.oidc.jwks import Key

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 3.0
"""How long both answers of the provider may take together, from the first name server to the last byte."""

MOST_BYTES = 256 * 1024
REFRESH_SECONDS = 600.0
"""How old keys may get before they are asked for anew."""

PAUSE_SECONDS = 30.0
"""The least time between two attempts, whatever unknown keys tokens name."""

PATIENCE_SECONDS = 1.0
"""How long a token of an unknown key waits for an attempt that somebody else makes."""

HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "stockroom"}


class Provider:
    """The keys of one issuer, as last seen. An attempt that fails leaves them as they are."""

    def __init__(self, issuer: str) -> None:
        """Ask for nothing yet: workers are forked from the process that makes this."""
        self.clock = time.monotonic
        self._issuer = issuer
        self._lock = Lock()
        self._keys: dict[str, Key] = {}
        self._tried_at: float | None = None
        self._renewed_at = 0.0
        self._attempt: Event | None = None
        """Under way; set when it has ended."""

    def key(self, kid: str) -> Key | None:
        """Find a key by its name.

        Raises:
            ProviderUnavailable: no key at all is known.

        """
        attempt, is_mine = self._join(kid)
        if attempt is not None:
            if is_mine and kid in self._keys:
                Thread(target=self._renew, args=(attempt,), name="identity-provider", daemon=True).start()
            elif is_mine:
                self._renew(attempt)
            elif kid not in self._keys:
                attempt.wait(PATIENCE_SECONDS if self._keys else DEADLINE_SECONDS)
        if not self._keys:
            raise ProviderUnavailable
        return self._keys.get(kid)

    def _join(self, kid: str) -> tuple[Event | None, bool]:
        """Find the attempt that is under way, or begin one when it is time; tells whether it is the caller's to make.

        Only this is done under the lock, so nobody ever waits for the network unasked.
        """
        with self._lock:
            now = self.clock()
            if self._attempt is not None:
                return self._attempt, False
            is_wanted = kid not in self._keys or now - self._renewed_at >= REFRESH_SECONDS
            has_paused = self._tried_at is None or now - self._tried_at >= PAUSE_SECONDS
            if not (is_wanted and has_paused):
                return None, False
            self._tried_at, self._attempt = now, Event()
            return self._attempt, True

    def _renew(self, attempt: Event) -> None:
        try:
            self._keys = ask(self._issuer)
            self._renewed_at = self.clock()
        except Exception as failure:  # noqa: BLE001  # whatever strangers answer, the keys stay as they are
            reason = f"{type(failure).__name__}: {failure}"[:200]
            log.warning("identity_provider_failed", issuer=self._issuer, reason=reason, keys_kept=len(self._keys))
        finally:
            with self._lock:
                self._attempt = None
            attempt.set()


def ask(issuer: str) -> dict[str, Key]:
    """Fetch the keys of an issuer, in a loop of their own: only there a deadline holds for everything.

    Raises:
        httpx.HTTPError, httpx.InvalidURL, OSError, ValueError: no answer came, or none in JSON.
        UnusableAnswerError: the answer is of no use.

    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_fetch_keys(issuer))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()  # unlike asyncio.run, this does not wait for a name server that hangs


async def _fetch_keys(issuer: str) -> dict[str, Key]:
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        httpx.AsyncClient(headers=HEADERS, verify=_trust(), timeout=DEADLINE_SECONDS, follow_redirects=False) as client,
    ):
        about = await _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(about, dict) or about.get("issuer") != issuer:
            message = "the discovery document is another issuer's"
            raise UnusableAnswerError(message)
        return jwks.read(await _get(client, keys_url(about, issuer)))


@cache
def _trust() -> SSLContext:
    """Read the certificate authorities once for each process, or those that SSL_CERT_FILE names."""
    return httpx.create_ssl_context()


def keys_url(about: dict[str, object], issuer: str) -> httpx.URL:
    """Find where the keys are: behind TLS, unless the issuer itself is not.

    Raises:
        httpx.InvalidURL, UnusableAnswerError: nowhere.

    """
    url = httpx.URL(str(about.get("jwks_uri")))
    schemes = {"https", httpx.URL(issuer).scheme}
    if url.scheme not in schemes or not url.host:
        message = "no jwks_uri that can be trusted"
        raise UnusableAnswerError(message)
    return url


async def _get(client: httpx.AsyncClient, url: httpx.URL | str) -> object:
    async with client.stream("GET", url) as response:
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.status_code != HTTPStatus.OK:
            message = f"{url}: status {response.status_code}"
            raise UnusableAnswerError(message)
        if media_type != "application/json" and not media_type.endswith("+json"):
            message = f"{url}: no JSON"
            raise UnusableAnswerError(message)
        body = bytearray()
        async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > MOST_BYTES:
                    message = f"{url}: more than {MOST_BYTES} bytes"
                    raise UnusableAnswerError(message)
    return orjson.loads(body)
