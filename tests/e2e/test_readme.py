"""The sessions in the documentation are real: their commands run, and print what is said they print."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from api.extensions import db
from tests.conftest import PROJECT
from tests.factories import PASSWORD, Factory
from tests.jobs.test_worker import worker

if TYPE_CHECKING:
    import httpx
    from flask import Flask

NEEDS_A_WORKER = "docs/events.md"
NEXT_BLOCK = "---- next block ----"
BLOCKS = re.compile(r"```bash\n(?P<commands>.*?)```(?:\n+```text\n(?P<output>.*?)```)?", re.DOTALL)
CHANGING = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}": "<id>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "<time>",
    r"SO-\d{6}": "<number>",
}


@pytest.mark.parametrize("page", ["README.md", "docs/warehouse.md", "docs/orders.md", "docs/events.md"])
def test_a_session_prints_what_its_page_says(
    live_app: Flask,
    may_send_webhooks: None,  # noqa: ARG001  # to the receivers that sessions start
    server: httpx.URL,
    server_environment: dict[str, str],
    page: str,
) -> None:
    with live_app.app_context():
        Factory(db.session()).user(email="admin@example.com")
        db.session.commit()
    blocks = list(BLOCKS.finditer((PROJECT / page).read_text("utf-8")))
    script = f"\necho '{NEXT_BLOCK}'\n".join(block["commands"] for block in blocks)
    script = script.replace("http://127.0.0.1:8000", str(server).rstrip("/"))
    bash = ["bash", "-euo", "pipefail", "-c", script]
    counted = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment = counted | server_environment | {"ADMIN_PASSWORD": PASSWORD}
    with worker(server_environment) if page == NEEDS_A_WORKER else nullcontext():
        run = subprocess.run(bash, capture_output=True, text=True, check=True, cwd=PROJECT, env=environment)
    printed = run.stdout.split(f"{NEXT_BLOCK}\n")
    assert [_steady(text) for text in printed] == [_steady(block["output"] or "") for block in blocks]


@pytest.fixture
def may_send_webhooks(server_environment: dict[str, str]) -> None:
    """Let the installation reach this machine."""
    server_environment["WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8"


def _steady(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, name in CHANGING.items():
        text = re.sub(pattern, name, text)
    return text.strip()
