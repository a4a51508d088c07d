"""The load program itself: what it refuses, and when it says no."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from bench import contention
from bench.__main__ import bench
from bench.contention import Outcome
from tests.conftest import PROJECT
from tests.factories import PASSWORD

if TYPE_CHECKING:
    import httpx
    from click.testing import Result

    from tests.chaos.shop import Shop

RIGHT: dict[str, Any] = {"units": 10, "buyers": 40, "sold": 10, "refused": 30, "left": 0, "seconds": 2.0}


def run(*options: str) -> Result:
    return CliRunner().invoke(bench, ["contention", "--email", "a@example.com", "--password", PASSWORD, *options])


def test_it_runs_as_its_documentation_says(server: httpx.URL, shop: Shop) -> None:
    with shop.work() as make:
        email = str(make.user().email)
    command = [sys.executable, "-m", "bench.contention", "--url", str(server), "--email", email]

    done = subprocess.run(
        [*command, "--password", PASSWORD, "--units", "5", "--buyers", "12"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for words in ("12 buyers, 5 units", "every unit was sold, and none twice"):
        assert words in done.stdout
    assert shop.count("orders") == 5


def test_a_wrong_password_is_said_in_a_sentence(server: httpx.URL) -> None:
    result = run("--url", str(server))

    assert result.exit_code == 1
    assert "401" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "url", ["http://shop.example.com", "http://10.0.0.1:8000", "http://127.0.0.1.example.com", "http://[2001:db8::1]"]
)
def test_it_does_not_load_other_machines_unless_told_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    asked: list[str] = []

    def pretend(url: str, **_: object) -> Outcome:
        asked.append(url)
        return Outcome(**RIGHT)

    monkeypatch.setattr(contention, "contend", pretend)

    refused, allowed = run("--url", url), run("--url", url, "--allow-remote")

    assert (refused.exit_code, allowed.exit_code) == (2, 0)
    assert "--allow-remote" in refused.output
    assert asked == [url]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000", "http://127.9.9.9"])
def test_it_knows_its_own_machine(url: str) -> None:
    assert contention.is_loopback(url)


@pytest.mark.parametrize(
    ("change", "exit_code", "verdict"),
    [
        ({}, 0, "every unit was sold, and none twice"),
        ({"buyers": 8, "sold": 8, "refused": 0, "left": 2}, 0, "every buyer was served"),
        ({"sold": 11, "refused": 29, "left": -1}, 1, "OVERSOLD by 1"),
        ({"refused": 29, "others": {503: 1}}, 1, "FAILED"),
        ({"refused": 29, "others": {contention.NO_ANSWER: 1}}, 1, "FAILED"),
        ({"sold": 9, "refused": 31, "left": 1}, 1, "FAILED"),
        ({"left": 1}, 1, "FAILED"),
    ],
)
def test_it_fails_when_the_promise_does(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], exit_code: int, verdict: str
) -> None:
    outcome = Outcome(**(RIGHT | change))
    monkeypatch.setattr(contention, "contend", lambda *_, **__: outcome)

    result = run()

    assert result.exit_code == exit_code
    assert verdict in result.output


def test_the_programs_are_listed() -> None:
    result = CliRunner().invoke(bench, ["--help"])

    assert result.exit_code == 0
    assert "contention" in result.output
