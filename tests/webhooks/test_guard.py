"""Webhooks go to public addresses only, whatever a name is written like and whenever it changes its mind."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from api.webhooks import guard, sender
from tests.webhooks.receiver import Receiver

LOOPBACK = (ip_network("127.0.0.0/8"),)
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  # refused, not bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_everybodys_is_not_public(address: str) -> None:
    assert not guard.is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert guard.is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fe80::1%25lo]",
    ],
)
def test_it_is_the_resolved_address_that_counts(host: str) -> None:
    with pytest.raises((guard.NotAllowed, guard.Unresolvable)):
        guard.check(f"http://{host}/hooks")


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(guard.NotAllowed, match=r"leads to 127\.0\.0\.1.*WEBHOOK_ALLOWED_NETWORKS"):
        guard.check("http://2130706433/hooks")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example.com/",
        "file:///etc/passwd",
        "gopher://shop.example.com/",
        "javascript:alert(1)",
        "//shop.example.com/",
        "shop.example.com",
        "http://",
        "http:///path",
        "https://user:password@shop.example.com/",
        "https://user@shop.example.com/",
        "https://shop.example.com/#part",
        "https://shop.example.com/#",
        "https://shop.example.com/a b",
        "https://shop.example.com\\@127.0.0.1/",
        "https://shop.example.com\\.internal/",
        "https://shop.example.com/\N{ZERO WIDTH SPACE}",
        "https://shop.example.com/\r\nX-Header: 1",
        "https://shop.example.com/\0",
        "https://shop.example.com:0/",
        "https://shop.example.com:99999/",
        "https://shop.example.com:port/",
        "https://[::1/",
        "https://" + "a" * 64 + "ö.example/",
        "https://straße.example/",
        "https://shop.example.com/" + "a" * 2000,
    ],
)
def test_what_is_no_plain_web_address_is_refused_without_asking_anybody(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("was looked up"))

    with pytest.raises(guard.NotAllowed):
        guard.check(url)


@pytest.mark.parametrize(
    ("url", "authority", "port", "path"),
    [
        ("https://shop.example.com", "shop.example.com", 443, "/"),
        ("HTTPS://Shop.Example.com:443/Hooks?a=1&b=%41", "shop.example.com", 443, "/Hooks?a=1&b=%41"),
        ("http://shop.example.com:443/", "shop.example.com:443", 443, "/"),
        ("https://shop.example.com//127.0.0.1/", "shop.example.com", 443, "//127.0.0.1/"),
        ("http://[2606:4700::1111]/", "[2606:4700::1111]", 80, "/"),
        ("http://[2606:4700::1111]:8080/", "[2606:4700::1111]:8080", 8080, "/"),
        ("https://bücher.example/käufe?für=ä", "xn--bcher-kva.example", 443, "/k%C3%A4ufe?f%C3%BCr=%C3%A4"),
    ],
    ids=["bare", "spelt out", "odd port", "two slashes", "IPv6", "IPv6 and port", "letters beyond ASCII"],
)
def test_a_url_becomes_what_is_sent(url: str, authority: str, port: int, path: str) -> None:
    target = guard.parse(url)

    assert (target.authority, target.port, target.path) == (authority, port, path)


def test_what_is_wrong_with_a_url_is_told() -> None:
    for url, reason in (
        ("https://shop.example.com/" + "a" * 2000, "at most 2,000 characters"),
        ("https://straße.example/", "begins with xn--"),
        ("https://user@shop.example.com/", "send them in `headers`"),
        ("https://shop.example.com/#part", "what follows the #"),
        ("ftp://shop.example.com/", "http or https"),
    ):
        with pytest.raises(guard.NotAllowed, match=reason):
            guard.parse(url)


def answering(*answers: list[str]) -> Any:
    """Resolve every name to each answer in turn; the last one stays."""
    left = list(answers)

    def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    return getaddrinfo


def test_a_public_name_may_be_called_on_the_usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering(["93.184.215.14"]))

    assert guard.check("https://shop.example.com/hooks") == [ip_address("93.184.215.14")]
    assert guard.check("https://shop.example.com:8443/hooks") == [ip_address("93.184.215.14")]
    for port in (22, 25, 5432, 6379, 11211):
        with pytest.raises(guard.NotAllowed, match=f"Port {port} is not called"):
            guard.check(f"https://shop.example.com:{port}/hooks")


def test_one_bad_address_among_good_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering(["93.184.215.14", "10.0.0.7"]))

    with pytest.raises(guard.NotAllowed, match=r"10\.0\.0\.7"):
        guard.check("https://shop.example.com/hooks")


def test_networks_that_are_allowed_can_be_called_on_any_port() -> None:
    assert guard.check("http://127.0.0.1:31337/hooks", LOOPBACK) == [ip_address("127.0.0.1")]
    with pytest.raises(guard.NotAllowed):
        guard.check("http://10.0.0.1/hooks", LOOPBACK)


def test_a_name_nobody_knows_cannot_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(guard.Unresolvable, match="has no address"):
        guard.check("https://nowhere.example/hooks")


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: an allowed address for the judge, another for the connection."""
    with Receiver() as judged, Receiver() as forbidden:
        real = socket.getaddrinfo
        asked: list[str] = []

        def rebinding(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
            if host != "rebound.example":
                return real(host, port, *args, **options)
            asked.append(host)
            port = judged.port if len(asked) == 1 else forbidden.port
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        url = f"http://rebound.example:{judged.port}/hooks"
        outcome = asyncio.run(sender.send(url, headers={}, body=b"{}", allowed=LOOPBACK))

    assert outcome.is_success
    assert asked == ["rebound.example"], "the second lookup never happens"
    assert [request.headers["host"] for request in judged.requests] == [f"rebound.example:{judged.port}"]
    assert forbidden.requests == []


def test_what_has_become_private_is_not_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as private:
        monkeypatch.setattr(socket, "getaddrinfo", answering(["93.184.215.14"], ["127.0.0.1"]))
        url = "http://shop.example.com:8080/hooks"
        guard.check(url)
        outcome = asyncio.run(sender.send(url, headers={}, body=b"{}"))

    assert (outcome.error, outcome.status) == ("not_allowed", None)
    assert private.requests == []


def test_lookups_that_hang_take_one_thread_and_delay_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LOOKUP_SECONDS", 0.2)
    public = answering(["93.184.215.14"])
    asked: list[str] = []
    end = threading.Event()

    def hanging(host: str, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        if host == "tarpit.example":
            end.wait(60)
        found: list[Any] = public(host, *args, **options)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", hanging)

    async def look_up(url: str) -> object:
        return await guard.resolve(guard.parse(url))

    async def look_up_all() -> list[object]:
        urls = [f"https://tarpit.example/{number}" for number in range(100)] + ["https://shop.example.com/"]
        return await asyncio.gather(*map(look_up, urls), return_exceptions=True)

    try:
        *hung, found = asyncio.run(look_up_all())
        with pytest.raises(guard.Unresolvable, match="in time"):
            guard.check("https://tarpit.example/")
    finally:
        end.set()

    assert found == [ip_address("93.184.215.14")]
    assert {str(error) for error in hung} == {"The host could not be looked up in time."}
    assert sorted(asked) == ["shop.example.com", "tarpit.example"]


def test_a_name_is_looked_up_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering(["93.184.215.14"], ["10.0.0.7"]))

    guard.check("https://shop.example.com/")
    with pytest.raises(guard.NotAllowed):
        guard.check("https://shop.example.com/")
