"""Sending to receivers that do their worst: always an outcome, in time, and little of theirs kept."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.webhooks import guard, sender
from tests.webhooks import receiver
from tests.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BODY = b'{"type":"order.placed"}'


def send(url: str, *, headers: dict[str, str] | None = None, **options: Any) -> sender.Outcome:
    return asyncio.run(sender.send(url, headers=headers or {}, body=BODY, allowed=LOOPBACK, **options))


def outcome_of(behaviour: receiver.Behaviour, **options: Any) -> sender.Outcome:
    with Receiver(lambda *_: behaviour) as target:
        return send(target.url, **options)


def test_a_message_arrives_whole() -> None:
    with Receiver() as target:
        outcome = send(f"{target.url}?shop=1", headers={"webhook-id": "1", "X-Tenant": "7"})

    (request,) = target.requests
    assert outcome.is_success
    assert (outcome.status, outcome.error, outcome.excerpt) == (204, None, None)
    assert (request.path, request.body) == ("/hooks?shop=1", BODY)
    assert request.headers["host"] == f"127.0.0.1:{target.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Stockroom-Webhooks/1"
    assert (request.headers["webhook-id"], request.headers["x-tenant"]) == ("1", "7")
    assert "cookie" not in request.headers
    assert "accept-encoding" not in request.headers


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(code: int) -> None:
    assert outcome_of(receiver.status(code)).is_success


@pytest.mark.parametrize(
    ("code", "error"),
    [(301, "redirected"), (307, "redirected"), (400, "http_error"), (410, "http_error"), (503, "http_error")],
)
def test_nothing_else_is(code: int, error: str) -> None:
    outcome = outcome_of(receiver.status(code, body=b"no"))

    assert (outcome.is_success, outcome.status, outcome.error, outcome.excerpt) == (False, code, error, "no")


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as inside, Receiver(lambda *_: receiver.status(307, f"Location: {inside.url}")) as target:
        assert send(target.url).error == "redirected"

    assert inside.requests == []


@pytest.mark.parametrize("behaviour", [receiver.hang, receiver.drip], ids=["hang", "drip"])
def test_who_takes_too_long_is_not_waited_for(behaviour: receiver.Behaviour) -> None:
    outcome = outcome_of(behaviour, deadline=0.5)

    assert (outcome.status, outcome.error) == (None, "timeout")
    assert outcome.duration_ms >= 450


@pytest.mark.parametrize(
    "behaviour",
    [
        receiver.reset,
        receiver.say_nothing,
        receiver.garbage,
        receiver.endless_headers,
        receiver.endless_continues,
        receiver.raw(b"HTTP/1.1 000 Zero\r\n\r\n"),
        receiver.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: irc\r\n\r\n"),
        receiver.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred"),
        receiver.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        receiver.raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
        receiver.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n"),
        receiver.raw(b"HTTP/1.1 200 OK\r\nX-Header: a\0b\r\n\r\n"),
    ],
    ids=[
        "reset",
        "silence",
        "garbage",
        "endless headers",
        "endless prelude",
        "no status",
        "another protocol",
        "early end",
        "two lengths",
        "long length",
        "odd chunk",
        "odd header",
    ],
)
def test_what_is_no_answer_is_a_failure(behaviour: receiver.Behaviour) -> None:
    outcome = outcome_of(behaviour)

    assert outcome.status is None
    assert outcome.error in {"connection_failed", "protocol_error"}
    assert outcome.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nxx\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000,
    ],
    ids=["of a length", "in chunks", "to the end"],
)
def test_what_follows_64_kb_is_not_waited_for(answer: bytes) -> None:
    outcome = outcome_of(receiver.and_hold(answer))

    assert (outcome.status, outcome.error, outcome.excerpt) == (200, None, "x" * 1000)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n" + b"X-Header: 1\r\n" * 100_000, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000],
    ids=["headers", "preludes"],
)
def test_nor_is_what_comes_before_an_answer_for_ever(answer: bytes) -> None:
    outcome = outcome_of(receiver.and_hold(answer))

    assert (outcome.error, outcome.detail) == ("protocol_error", sender.ENDLESS)


def test_of_an_endless_body_little_is_read_and_less_is_kept() -> None:
    outcome = outcome_of(receiver.endless_body)

    assert outcome.is_success
    assert outcome.excerpt == "x" * 1000


def test_what_no_database_can_keep_is_left_out_of_the_excerpt() -> None:
    assert outcome_of(receiver.status(500, body=b"a\0b\xff")).excerpt == "ab\N{REPLACEMENT CHARACTER}"


def test_compressed_answers_are_not_unpacked() -> None:
    bomb = receiver.status(200, "Content-Encoding: gzip", body=b"\x1f\x8b\x08")

    assert outcome_of(bomb).is_success


def leading_to(*addresses: str) -> Any:
    """Resolve every name to these addresses."""

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    return getaddrinfo


def test_when_one_address_refuses_the_next_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", leading_to("::1", "127.0.0.1"))

    with Receiver() as target:
        outcome = send(f"http://shop.example:{target.port}/hooks")

    assert outcome.is_success
    assert target.requests[0].headers["host"] == f"shop.example:{target.port}"


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", leading_to("::1", "127.0.0.1"))
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.2)

    with (
        Receiver() as target,
        socket.create_server(("::1", target.port), family=socket.AF_INET6, backlog=0),
        socket.socket(socket.AF_INET6) as waiting,
    ):
        waiting.connect(("::1", target.port))  # nobody accepts it, so that the next is not even heard
        outcome = send(f"http://shop.example:{target.port}/hooks")

    assert outcome.is_success
    assert outcome.duration_ms >= 200


def test_an_address_of_ipv6_is_told_in_brackets() -> None:
    heard: list[bytes] = []

    def listen(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(receiver.NO_CONTENT)

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        listening = threading.Thread(target=listen, args=(server,))
        listening.start()
        outcome = send(f"http://[::1]:{port}/hooks")
        listening.join(10)

    assert outcome.is_success
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heard[0]


def test_letters_beyond_ascii_are_sent_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", leading_to("127.0.0.1"))

    with Receiver() as target:
        outcome = send(f"http://bücher.example:{target.port}/käufe")

    assert outcome.is_success
    assert target.requests[0].path == "/k%C3%A4ufe"
    assert target.requests[0].headers["host"] == f"xn--bcher-kva.example:{target.port}"


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("http", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
        ("http", b"garbage\r\n\r\n"),
        ("http", b""),
        ("https", b""),
        ("https", b"garbage\r\n\r\n"),
    ],
    ids=["answer", "half an answer", "preludes", "garbage", "nothing", "no handshake", "no TLS"],
)
def test_a_connection_is_closed_when_the_outcome_is_known(scheme: str, answer: bytes) -> None:
    """Not when the loop ends, and not by the collector of garbage: the courier's loop runs for months."""
    closed = threading.Event()

    def until_closed(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(answer)
            connection.settimeout(10)
            while connection.recv(65536):
                pass
        closed.set()

    async def send_and_look(url: str) -> bool:
        await sender.send(url, headers={}, body=BODY, allowed=LOOPBACK, deadline=0.3)
        return await asyncio.to_thread(closed.wait, 5)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=until_closed, args=(server,), daemon=True).start()
        assert asyncio.run(send_and_look(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/hooks"))


def test_sending_can_be_called_off() -> None:
    arrived = threading.Event()

    def hang(connection: socket.socket, request: receiver.Received, end: threading.Event) -> None:
        arrived.set()
        receiver.hang(connection, request, end)

    async def call_off(url: str) -> None:
        sending = asyncio.create_task(sender.send(url, headers={}, body=BODY, allowed=LOOPBACK))
        await asyncio.to_thread(arrived.wait, 10)
        sending.cancel()
        await sending

    with Receiver(lambda *_: hang) as target, pytest.raises(asyncio.CancelledError):
        asyncio.run(call_off(target.url))


def test_what_nobody_thought_of_is_an_outcome_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> list[Any]:
        raise RuntimeError(*_)

    monkeypatch.setattr(guard, "resolve", broken)

    outcome = send("https://shop.example/hooks")

    assert (outcome.status, outcome.error, outcome.detail) == (
        None,
        "protocol_error",
        "The attempt broke: RuntimeError.",
    )


@pytest.mark.parametrize(
    "url", ["ftp://shop.example/", "http://user@127.0.0.1/", "", "http://[", "http://10.0.0.1/", "http://2130706434:1/"]
)
def test_what_may_not_be_called_is_an_outcome(url: str) -> None:
    networks = (ip_network("127.0.0.1/32"),)

    outcome = asyncio.run(sender.send(url, headers={}, body=BODY, allowed=networks))

    assert (outcome.status, outcome.error) == (None, "not_allowed")
    assert outcome.detail


def test_a_closed_port_is_a_failure() -> None:
    with Receiver() as target:
        url = target.url

    assert send(url).error == "connection_failed"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("9999999999", 86_400),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 00:00:00 +99999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
        ("9" * 5000, None),
    ],
    ids=[
        "seconds",
        "now",
        "years",
        "negative",
        "word",
        "empty",
        "float",
        "past",
        "no year",
        "no zone",
        "last year",
        "digits",
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert outcome_of(receiver.status(503, f"Retry-After: {value}")).retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)

    found = outcome_of(receiver.status(429, f"Retry-After: {moment}")).retry_after

    assert found is not None
    assert 280 < found <= 300


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with Receiver() as proxy, Receiver() as target:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert send(target.url).is_success

    assert (len(proxy.requests), len(target.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "internal"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive"),
        ("Webhook-Signature", "v1,forged"),
        ("webhook-anything", "1"),
        ("User-Agent", "curl"),
        ("X Header", "1"),
        ("", "1"),
        ("X-Header", "a\r\nHost: internal"),
        ("X-Header", "a\0"),
        ("X-Header", "ä"),
        ("X-Header", " a"),
        ("X-Header", "a" * 2001),
    ],
)
def test_headers_that_decide_on_the_message_are_not_ones_own(name: str, value: str) -> None:
    assert not sender.is_allowed_header(name, value)


def test_what_the_message_decides_cannot_be_decided_otherwise() -> None:
    mine = {
        "HOST": "internal",
        "content-length": "0",
        "Content-type": "text/plain",
        "user-agent": "curl",
        "X-Mine": "1",
    }

    with Receiver() as target:
        outcome = send(target.url, headers=mine)

    (request,) = target.requests
    assert outcome.is_success
    assert (request.body, request.headers["x-mine"]) == (BODY, "1")
    assert request.headers["host"] == f"127.0.0.1:{target.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Stockroom-Webhooks/1"


@pytest.mark.parametrize("value", ["hush\r\nX-Other: 1", "hush\0", "hush\N{SNOWMAN}"], ids=["line", "NUL", "snowman"])
def test_a_header_that_cannot_be_sent_is_told_by_its_name_alone(value: str) -> None:
    with Receiver() as target:
        outcome = send(target.url, headers={"X-Key": value})

    assert outcome.error == "protocol_error"
    assert "X-Key" in str(outcome.detail)
    assert "hush" not in str(outcome)
    assert target.requests == []


@pytest.mark.parametrize(("name", "value"), [("Authorization", "Bearer 6f1c"), ("X-Api-Key", ""), ("x-tenant", "a b")])
def test_other_headers_are(name: str, value: str) -> None:
    assert sender.is_allowed_header(name, value)


class Secure(Receiver):
    """Speaks TLS with a certificate for one name."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.asked_for: list[str | None] = []
        key, certificate = self_signed(name)
        (folder / "key.pem").write_bytes(key)
        (folder / "certificate.pem").write_bytes(certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        self.context.sni_callback = lambda _, name, __: self.asked_for.append(name)
        self.trust = ssl.create_default_context(cafile=folder / "certificate.pem")

    def _serve(self, connection: Any) -> None:
        try:
            secured = self.context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        super()._serve(secured)


def self_signed(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_must_be_for_the_name_and_of_somebody_trusted(tmp_path: Path) -> None:
    with Secure(tmp_path, "localhost") as target:
        good = send(f"https://localhost:{target.port}/hooks", trust=target.trust)
        wrong_name = send(f"https://127.0.0.1:{target.port}/hooks", trust=target.trust)
        unknown = send(f"https://localhost:{target.port}/hooks")

    assert good.is_success
    assert (wrong_name.error, unknown.error) == ("tls_failed", "tls_failed")
    assert len(target.requests) == 1
    assert target.asked_for == ["localhost", None, "localhost"]


@pytest.mark.parametrize("host", ["shop.example", "shop.example.", "SHOP.example"])
def test_the_certificate_is_for_the_name_and_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", leading_to("127.0.0.1"))

    with Secure(tmp_path, "shop.example") as target:
        good = send(f"https://{host}:{target.port}/hooks", trust=target.trust)
        wrong = send(f"https://other.example:{target.port}/hooks", trust=target.trust)

    assert good.is_success
    assert wrong.error == "tls_failed"
    assert target.asked_for == ["shop.example", "other.example"]


def test_who_speaks_no_tls_is_not_spoken_to() -> None:
    with Receiver() as target:
        outcome = send(target.url.replace("http://", "https://"))

    assert outcome.error == "tls_failed"


def test_who_never_ends_the_handshake_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send(f"https://127.0.0.1:{silent.getsockname()[1]}/hooks", deadline=0.3)

    assert outcome.error == "timeout"


def test_many_that_hang_are_sent_to_at_once() -> None:
    """A hundred hanging receivers take one deadline together, not one each, and no thread."""

    async def send_all(url: str) -> list[sender.Outcome]:
        sending = [sender.send(url, headers={}, body=BODY, allowed=LOOPBACK, deadline=2) for _ in range(100)]
        return await asyncio.gather(*sending)

    with Receiver(lambda *_: receiver.hang) as target:
        before = threading.active_count()
        outcomes = asyncio.run(send_all(target.url))

    assert {outcome.error for outcome in outcomes} == {"timeout"}
    assert max(outcome.duration_ms for outcome in outcomes) < 6000, before
