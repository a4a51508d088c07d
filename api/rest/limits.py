"""How often something may be asked for: counted in Valkey for all processes, and exact.

A slot is taken before the work that it limits. Where a limit is large, a process takes slots a handful at a time, so
that most requests cost no round trip; all handfuls together never hold more slots than the limit has. While the shared
counters are away each process counts alone: limits get wider by the number of processes, and never vanish.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import structlog
from flask import current_app, g, request
from limits import parse_many
from limits.storage import MemoryStorage, RedisStorage

from api.core.errors import TooMany
from api.core.networks import network_of
from api.extensions import limiter
from api.rest.requests import QUIET_PATHS, client_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask, Response
    from limits import RateLimitItem
    from limits.storage import Storage

log = structlog.get_logger(__name__)

HANDFULS = 100
"""A limit is given out in at least so many parts; one of up to so many slots is counted slot by slot."""

MUTED_SECONDS = 5.0
"""How long shared counters that failed are left alone."""

MOST_KEPT = 50_000
"""Handfuls a process keeps; beyond that the table is emptied, which costs slots and gives none."""


class RateLimited(TooMany):
    """A limit is used up."""

    code = "rate_limited"
    message = "Too many requests; wait as long as the Retry-After header says."

    def __init__(self, *, seconds: int) -> None:
        """Tell when it is worth trying again."""
        super().__init__()
        self.retry_after = seconds  # type: ignore[misc]  # known only now, unlike that of other refusals


@dataclass(slots=True)
class Handful:
    """Slots that this process has taken from the shared counter and not yet given out."""

    left: int
    beyond: int
    """Slots that nobody had taken when this handful was."""

    ends_at: float

    @property
    def seconds(self) -> float:
        """How long it is good for."""
        return self.ends_at - time.monotonic()


class Standing(NamedTuple):
    """Where somebody stands with one limit, after this request."""

    name: str
    limit: RateLimitItem
    remaining: int
    seconds: float
    is_refused: bool = False


class Counters:
    """Fixed windows that begin with the first slot taken."""

    def __init__(self, shared: Storage) -> None:
        """Count in `shared`, and alone while that fails."""
        self._shared, self._alone = shared, MemoryStorage()
        self._muted_until = -math.inf
        self._handfuls: dict[str, Handful] = {}
        self._lock = Lock()

    def take(self, name: str, limit: RateLimitItem, key: str) -> Standing:
        """Take one slot, if there is one left."""
        slot, size = limit.key_for(name, key), max(1, limit.amount // HANDFULS)
        with self._lock:
            handful = self._handfuls.get(slot)
            if handful is not None and handful.seconds > 0:
                if handful.left > 0:
                    handful.left -= 1
                    return Standing(name, limit, handful.left + handful.beyond, handful.seconds)
                if handful.beyond == 0:
                    return Standing(name, limit, 0, handful.seconds, is_refused=True)
        taken, seconds = self._count(slot, limit.get_expiry(), size)
        granted, beyond = min(size, limit.amount - (taken - size)), max(0, limit.amount - taken)
        if size > 1:
            self._keep(slot, Handful(max(0, granted - 1), beyond, time.monotonic() + seconds))
        return Standing(name, limit, max(0, granted - 1) + beyond, seconds, is_refused=granted <= 0)

    def give_back(self, name: str, limit: RateLimitItem, key: str) -> None:
        """Return a slot that was taken for something that does not count after all; what is empty stays empty."""
        slot, expiry = limit.key_for(name, key), limit.get_expiry()
        if self._count(slot, expiry, -1)[0] < 0:  # the window of the slot has ended meanwhile
            self._count(slot, expiry, 1)

    def clear(self, name: str, limit: RateLimitItem, key: str) -> None:
        """Begin a new window."""
        for storage in self._storages():
            try:
                storage.clear(limit.key_for(name, key))
            except storage.base_exceptions:
                log.warning("rate_limits_counted_alone")

    def forget(self) -> None:
        """Start anew, handfuls and counters."""
        self._handfuls.clear()
        self._alone.reset()
        self._muted_until = -math.inf

    def _keep(self, slot: str, handful: Handful) -> None:
        with self._lock:
            if len(self._handfuls) >= MOST_KEPT:
                self._handfuls.clear()
            present = self._handfuls.get(slot)
            if present is not None and present.left > 0 and abs(present.ends_at - handful.ends_at) < 1:
                handful.left += present.left
            self._handfuls[slot] = handful

    def _count(self, slot: str, expiry: int, amount: int) -> tuple[int, float]:
        """Add to a counter; tells where it stands and how long its window lasts."""
        for storage in self._storages():
            try:
                taken = storage.incr(slot, expiry, amount=amount)
                return taken, min(_seconds_left(storage, slot), expiry)
            except storage.base_exceptions:
                log.warning("rate_limits_counted_alone")
                self._muted_until = time.monotonic() + MUTED_SECONDS
        raise AssertionError  # counting in memory does not fail

    def _storages(self) -> Iterable[Storage]:
        if time.monotonic() >= self._muted_until:
            yield self._shared
        yield self._alone


def _seconds_left(storage: Storage, slot: str) -> float:
    """Tell how long a window lasts. Valkey is asked for milliseconds: of whole seconds the last half would be none."""
    if isinstance(storage, RedisStorage):
        left: int = storage.get_connection().pttl(storage.prefixed_key(slot))  # type: ignore[attr-defined]  # redis-py's
        return max(0, left) / 1000
    return max(0.0, storage.get_expiry(slot) - time.time())


def init_app(app: Flask) -> None:
    """Limit every request by its network, whether anything is at its address or not, and tell where it stands."""
    app.extensions["counters"] = Counters(limiter.storage)
    app.before_request(_limit_network)
    app.after_request(_tell)


def claim(name: str, rules: str, key: str, *, is_secret: bool = False) -> None:
    """Take one slot of every limit in `rules`, as in `5 per minute; 20 per hour`.

    A secret limit is not told about in headers, where what is left could betray what others did.

    Raises:
        RateLimited: one of them is used up; those before it have been given back.

    """
    taken: list[RateLimitItem] = []
    for limit in _limits(rules):
        standing = _counters().take(name, limit, key)
        if not is_secret:
            g.setdefault("standings", []).append(standing)
        if standing.is_refused:
            for earlier in (*taken, limit):
                if earlier.amount < 2 * HANDFULS:  # slots of a handful are not worth a round trip
                    _counters().give_back(name, earlier, key)
            raise RateLimited(seconds=max(1, math.ceil(standing.seconds)))
        taken.append(limit)


def give_back(name: str, rules: str, key: str) -> None:
    """Return what `claim` has taken."""
    for limit in _limits(rules):
        _counters().give_back(name, limit, key)


def forget(name: str, rules: str, key: str) -> None:
    """Forget what has been claimed."""
    for limit in _limits(rules):
        _counters().clear(name, limit, key)


def network() -> str:
    """Tell the network this request comes from, as limits see it."""
    return str(g.network)


def _limit_network() -> None:
    g.network = network = network_of(client_address())
    if request.path not in QUIET_PATHS:
        claim("network", current_app.extensions["stockroom"].network_limit, network)


def _tell(response: Response) -> Response:
    """Write `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""
    standings: list[Standing] = list(g.get("standings", ()))
    if g.get("counts_attempts"):
        standings += _route_standings()
    if standings:
        policy, names = _policies(tuple((standing.name, standing.limit) for standing in standings))
        response.headers["RateLimit-Policy"] = policy
        response.headers["RateLimit"] = ", ".join(
            [
                f'"{name}";r={max(0, left)};t={min(math.ceil(seconds), limit.get_expiry())}'
                for name, (_, limit, left, seconds, _) in zip(names, standings, strict=True)
            ]
        )
    return response


@lru_cache(maxsize=256)
def _policies(limits: tuple[tuple[str, RateLimitItem], ...]) -> tuple[str, list[str]]:
    """Write limits down, and tell under which names; windows of one limit are told apart."""
    times = Counter(name for name, _ in limits)
    names = [name if times[name] == 1 else f"{name}-{limit.get_expiry()}" for name, limit in limits]
    policies = zip(names, limits, strict=True)
    return ", ".join(f'"{name}";q={limit.amount};w={limit.get_expiry()}' for name, (_, limit) in policies), names


def _route_standings() -> Iterable[Standing]:
    """Read what flask-limiter has counted for this route."""
    for found in limiter.current_limits:
        try:
            yield Standing("attempts", found.limit, found.remaining, max(0.0, found.reset_at - time.time()))
        except limiter.storage.base_exceptions:
            return


@lru_cache(maxsize=64)
def _limits(rules: str) -> tuple[RateLimitItem, ...]:
    """Read limits, the shortest window first."""
    return tuple(sorted(parse_many(rules), key=lambda limit: limit.get_expiry()))


def _counters() -> Counters:
    counters: Counters = current_app.extensions["counters"]
    return counters
