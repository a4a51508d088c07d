"""Signatures, judged by the official library."""

from __future__ import annotations

import os
import time
from base64 import b64decode

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api.webhooks import signing

BODY = b'{"type":"order.placed","data":{"number":"SO-001001"}}'
OLD, NEW = (signing.as_secret(os.urandom(32)) for _ in range(2))


def signed(*secrets: str, body: bytes = BODY, timestamp: int | None = None) -> dict[str, str]:
    return signing.headers(secrets, "0198c1f0", int(time.time()) if timestamp is None else timestamp, body)


def test_the_official_library_verifies_them() -> None:
    assert Webhook(NEW).verify(BODY, signed(NEW)) == {"type": "order.placed", "data": {"number": "SO-001001"}}


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["the old one", "the new one"])
def test_during_a_rotation_either_secret_will_do(secret: str) -> None:
    Webhook(secret).verify(BODY, signed(NEW, OLD))


@pytest.mark.parametrize(
    "change",
    [{"webhook-id": "0198c1f1"}, {"webhook-timestamp": str(int(time.time()) + 1)}, {"webhook-signature": "v1,AAAA"}],
    ids=["id", "timestamp", "signature"],
)
def test_whatever_is_changed_is_noticed(change: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, signed(NEW) | change)


def test_a_changed_body_and_a_wrong_secret_are_noticed() -> None:
    for secret, body in ((NEW, BODY + b" "), (OLD, BODY)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, signed(NEW))


def test_an_old_message_cannot_be_played_again() -> None:
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(NEW).verify(BODY, signed(NEW, timestamp=int(time.time()) - 600))


def test_a_secret_has_the_form_receivers_read() -> None:
    assert NEW.startswith("whsec_")
    assert len(b64decode(NEW.removeprefix("whsec_"))) == 32
