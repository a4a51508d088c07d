"""Sending to receivers that do their worst: always an outcome, in time, and little of theirs kept."""

from __future__ import annotations

import asyncio
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.webhooks import sender
from tests.webhooks import receiver
from tests.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = (ip_network("127.0.0.0/8"),)
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
    [receiver.reset, receiver.say_nothing, receiver.garbage, receiver.endless_headers],
    ids=["reset", "silence", "garbage", "endless headers"],
)
def test_what_is_no_answer_is_a_failure(behaviour: receiver.Behaviour) -> None:
    outcome = outcome_of(behaviour)

    assert outcome.status is None
    assert outcome.error in {"connection_failed", "protocol_error"}
    assert outcome.detail


def test_an_endless_prelude_ends_with_the_deadline() -> None:
    assert outcome_of(receiver.endless_continues, deadline=0.5).error == "timeout"


def test_of_an_endless_body_little_is_read_and_less_is_kept() -> None:
    outcome = outcome_of(receiver.endless_body)

    assert outcome.is_success
    assert outcome.excerpt == "x" * 1000


def test_what_no_database_can_keep_is_left_out_of_the_excerpt() -> None:
    assert outcome_of(receiver.status(500, body=b"a\0b\xff")).excerpt == "ab\N{REPLACEMENT CHARACTER}"


def test_compressed_answers_are_not_unpacked() -> None:
    bomb = receiver.status(200, "Content-Encoding: gzip", body=b"\x1f\x8b\x08")

    assert outcome_of(bomb).is_success


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
    ],
    ids=["seconds", "now", "years", "negative", "word", "empty", "float", "past"],
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


@pytest.mark.parametrize(("name", "value"), [("Authorization", "Bearer 6f1c"), ("X-Api-Key", ""), ("x-tenant", "a b")])
def test_other_headers_are(name: str, value: str) -> None:
    assert sender.is_allowed_header(name, value)


class Secure(Receiver):
    """Speaks TLS with a certificate for one name."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        key, certificate = self_signed(name)
        (folder / "key.pem").write_bytes(key)
        (folder / "certificate.pem").write_bytes(certificate)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
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
