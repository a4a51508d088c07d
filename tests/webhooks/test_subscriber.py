"""A subscriber that is not of our making: Node, with the official `standardwebhooks` package."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from api.webhooks import sender, signing
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.provider

HERE = Path(__file__).parent / "subscriber"
LOOPBACK = (ip_network("127.0.0.0/8"),)
OLD, NEW, OTHER = (signing.as_secret(os.urandom(32)) for _ in range(3))
NODE_MISSING = "These tests need Node and npm: apt-get install nodejs npm"


@pytest.fixture
def subscriber() -> Iterator[str]:
    """The program, which knows the new secret."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.fail(NODE_MISSING)
    if not (HERE / "node_modules").is_dir():
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True, timeout=300)
    environment = os.environ | {"SECRET": NEW}
    with subprocess.Popen(
        [node, "subscriber.mjs"], cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


def test_it_verifies_what_is_ours_and_nothing_else(subscriber: str) -> None:
    """Node's own parser of HTTP reads what is sent, and the official library what is signed."""
    body = '{"type":"order.placed","position":7,"data":{"note":"à la carte ☃"}}'.encode()
    now = int(time.time())

    def send(headers: dict[str, str], body: bytes) -> int | None:
        outcome = asyncio.run(sender.send(f"{subscriber}/hooks", headers=headers, body=body, allowed=LOOPBACK))
        return outcome.status

    assert send(signing.headers([NEW], "1", now, body), body) == 204
    assert send(signing.headers([NEW, OLD], "2", now, body), body) == 204
    assert send(signing.headers([OLD, NEW], "2", now, body), body) == 204
    assert send(signing.headers([OTHER], "3", now, body), body) == 401
    assert send(signing.headers([NEW], "3", now, body), body.replace(b"7", b"8")) == 401
    assert send(signing.headers([NEW], "3", now, body) | {"webhook-id": "4"}, body) == 401
    assert send(signing.headers([NEW], "3", now - 600, body), body) == 401

    told = httpx.get(f"{subscriber}/summary").json()
    assert (told["messages"], told["distinct"], told["refused"]) == (7, 2, 4)
    assert told["types"] == {"order.placed": 2}


def test_it_gets_and_verifies_every_event_of_a_shop_that_is_lived_through_again() -> None:
    command = [sys.executable, "-m", "bench", "news", "--days", "3", "--orders", "60", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)

    told = json.loads(run.stdout)
    assert told["orders_replayed"] > 100
    assert told["events"] > told["orders_replayed"]
    assert told["verified"] == told["events"] == told["positions"]["distinct"]
    assert told["positions"] == {"first": 1, "last": told["events"], "distinct": told["events"]}
    assert told["refused"] == 0
    assert told["orders_told_of"] == told["orders"] == 60
