"""Where a request really comes from, and the network that place belongs to."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

HOME_PREFIX = 64
"""One customer of an IPv6 provider has at least this much, and so 2^64 addresses to change between."""

NOWHERE = "unknown"


def resolve(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Follow X-Forwarded-For from the right, as long as each hop is a proxy of ours.

    What a stranger writes there is never believed: the first address that is not a trusted proxy's is the client.
    """
    address = _read(peer)
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while address is not None and hops and _is_within(address, trusted):
        before = _read(hops.pop())
        if before is None:  # not an address: whoever wrote it, nothing further left can be trusted
            break
        address = before
    return str(address) if address else NOWHERE


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Tell what is limited as one: an IPv4 address, or the /64 an IPv6 address lies in."""
    parsed = _read(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, HOME_PREFIX), strict=False))
    return str(parsed or NOWHERE)


@lru_cache(maxsize=4096)
def _read(text: str) -> Address | None:
    """Read an address; one that IPv6 maps from IPv4 is the IPv4 address."""
    try:
        parsed = ip_address(_without_port(text).partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _without_port(text: str) -> str:
    """Drop the port that some proxies write behind the address, as in `192.0.2.7:4711` or `[2001:db8::7]:4711`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
