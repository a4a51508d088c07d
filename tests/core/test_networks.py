"""Where a request comes from, behind proxies and in networks."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from api.core.networks import network_of, resolve

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("192.0.2.1", [], "192.0.2.1", id="no proxy"),
        pytest.param("192.0.2.1", ["203.0.113.5"], "192.0.2.1", id="a stranger claims another address"),
        pytest.param("10.0.0.1", ["203.0.113.5"], "203.0.113.5", id="our proxy"),
        pytest.param("10.0.0.1", ["198.51.100.9, 203.0.113.5"], "203.0.113.5", id="a client behind it claims more"),
        pytest.param("10.0.0.1", ["198.51.100.9", "203.0.113.5"], "203.0.113.5", id="in two headers"),
        pytest.param("10.0.0.1", ["203.0.113.5, 10.9.9.9"], "203.0.113.5", id="two proxies of ours"),
        pytest.param("10.0.0.1", ["10.1.1.1"], "10.1.1.1", id="a client in our own network"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="the proxy itself"),
        pytest.param("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8:1::7]:4711"], "2001:db8:1::7", id="IPv6 with a port"),
        pytest.param("10.0.0.1", ["nonsense"], "10.0.0.1", id="a proxy that writes nonsense"),
        pytest.param("10.0.0.1", ["203.0.113.5, nonsense"], "10.0.0.1", id="nonsense nearest to us"),
        pytest.param("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5", id="IPv4 in IPv6"),
        pytest.param("2001:db8:ffff::1", ["2001:db8:1::7"], "2001:db8:1::7", id="IPv6"),
        pytest.param("fe80::1%eth0", [], "fe80::1", id="a zone"),
        pytest.param("", [], "unknown", id="a socket file"),
    ],
)
def test_only_our_own_proxies_are_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert resolve(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_network_is_one_however_many_addresses_it_has(address: str, network: str) -> None:
    assert network_of(address) == network
