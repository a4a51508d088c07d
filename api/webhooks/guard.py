"""Where webhooks may go: to public addresses, decided on what a name resolves to, and not on how it is written.

`http://2130706433/`, `http://0x7f.1/` and `http://①②⑦.0.0.1/` are all loopback to a resolver, so no text is judged.
Whoever sends connects to the addresses that were judged and resolves nothing again: a name that changes its mind in
between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

type Address = IPv4Address | IPv6Address
type Networks = Sequence[IPv4Network | IPv6Network]

PORTS = frozenset({80, 443, 8000, 8080, 8443, 8888})
DEFAULT_PORTS = {"http": 80, "https": 443}
UNCLEAN = "Send a web address without spaces, backslashes and control characters."
TOO_LONG = "Send a web address of at most 2,000 characters."
NO_ADDRESS = "Send a web address, as in https://shop.example.com/stockroom."
NOT_HTTP = "Send an http or https address, as in https://shop.example.com/stockroom."
HAS_USER = "Leave user name and password out of the address; send them in `headers`."
HAS_FRAGMENT = "Leave out what follows the # of the address; it would not be sent."
NO_NAME = "The host is no name that can be looked up."
AMBIGUOUS_NAME = "Send the host in its ASCII form, which begins with xn--: its letters have been read in two ways."
TOO_SLOW = "The host could not be looked up in time."
NO_ADDRESSES = "The host has no address: is the name right?"
NO_PORT = "Port 0 cannot be reached."

LONGEST_URL = 2_000
LOOKUP_SECONDS = 3.0

# RFC 6890 and the IANA registries of special-purpose addresses; what is left over is public.
NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")
NOT_PUBLIC_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))

# Names with these lead elsewhere by the older rules, which Python knows, than by the newer ones.
AMBIGUOUS_LETTERS = frozenset("ßς")
ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

_lookups = ThreadPoolExecutor(64, thread_name_prefix="webhook-lookup")
"""Threads of their own: a lookup that hangs delays nothing else."""
_under_way: dict[str, Future[list[Address]]] = {}
"""One lookup for a name at a time: one whose servers hang takes one thread, however often it is asked for."""
_lock = threading.Lock()


class NotAllowed(Exception):
    """The URL must not be called; says why, and what to do."""


class Unresolvable(Exception):
    """The host has no address."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart, in ASCII: what is connected to, and what is asked for there."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What a request's Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def is_public(address: Address) -> bool:
    """Tell whether an address is one that anybody on the internet may be reached at."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        NotAllowed: it is none that a webhook can have.

    """
    if len(url) > LONGEST_URL:
        raise NotAllowed(TOO_LONG)
    if re.search(r"[\x00-\x20\x7f\\]", url) or not url.isprintable():
        raise NotAllowed(UNCLEAN)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed(NO_ADDRESS) from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise NotAllowed(NOT_HTTP)
    if "@" in parts.netloc:
        raise NotAllowed(HAS_USER)
    if parts.fragment or "#" in url:
        raise NotAllowed(HAS_FRAGMENT)
    if port == 0:
        raise NotAllowed(NO_PORT)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        parts.scheme,
        _in_ascii(parts.hostname),
        port or DEFAULT_PORTS[parts.scheme],
        quote(path, safe=ASCII_PUNCTUATION),
    )


def _in_ascii(host: str) -> str:
    if host.isascii():
        return host
    if AMBIGUOUS_LETTERS & set(host):
        raise NotAllowed(AMBIGUOUS_NAME)
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise NotAllowed(NO_NAME) from None


def check(url: str, allowed: Networks = ()) -> list[Address]:
    """Make sure that a URL may be called, at the moment; tells the addresses it leads to.

    Raises:
        NotAllowed: by its form, its port, or one of its addresses.
        Unresolvable: it has none, or the resolver does not answer.

    """
    target = parse(url)
    try:
        return _judge(target, _lookup(target.host).result(LOOKUP_SECONDS), allowed)
    except TimeoutError:
        raise Unresolvable(TOO_SLOW) from None


async def resolve(target: Target, allowed: Networks = ()) -> list[Address]:
    """Look up the addresses of a target and make sure that every one may be called.

    Raises:
        NotAllowed: one of them may not.
        Unresolvable: there are none, or the resolver does not answer.

    """
    lookup = asyncio.shield(asyncio.wrap_future(_lookup(target.host)))  # others may wait for the same one
    try:
        found = await asyncio.wait_for(lookup, LOOKUP_SECONDS)
    except TimeoutError:
        raise Unresolvable(TOO_SLOW) from None
    return _judge(target, found, allowed)


def _lookup(host: str) -> Future[list[Address]]:
    with _lock:
        if host not in _under_way:
            _under_way[host] = _lookups.submit(_look_up, host)
        return _under_way[host]


def _look_up(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolvable(NO_ADDRESSES) from None
    finally:
        with _lock:
            del _under_way[host]
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _judge(target: Target, found: Sequence[Address], allowed: Networks) -> list[Address]:
    inside = [any(address in network for network in allowed) for address in found]
    if all(inside):
        return list(found)
    for address, is_inside in zip(found, inside, strict=True):
        if not is_inside and not is_public(address):
            message = (
                f"The address leads to {address}, which is not public. Whoever runs this installation can allow its "
                "network: WEBHOOK_ALLOWED_NETWORKS."
            )
            raise NotAllowed(message)
    if target.port not in PORTS:
        listed = ", ".join(map(str, sorted(PORTS)))
        message = f"Port {target.port} is not called; these are: {listed}."
        raise NotAllowed(message)
    return list(found)
