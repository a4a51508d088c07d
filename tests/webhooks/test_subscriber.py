"""A subscriber that is not of our making: Node, with the official `standardwebhooks` package."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.provider


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
