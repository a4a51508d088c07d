"""The log: one event a line, and no secret in any."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from api import logs
from api.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = ["json", "console"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "facts",
    [
        {"password": "canary"},
        {"new_password": "canary"},
        {"secret_key": "canary"},
        {"access_token": "canary"},
        {"refresh_token": "canary"},
        {"Authorization": "canary"},
        {"cookie": "canary"},
        {"api_key": "canary"},
        {"private_key": "canary"},
        {"headers": {"Authorization": "Bearer canary"}},
        {"headers": [{"Set-Cookie": "canary"}]},
        {"header": "Bearer canary.canary.canary"},
        {"header": "bearer canary-canary"},
        {"header": "Basic Y2FuYXJ5OmNhbmFyeQ=="},
        {"url": "postgresql://shop:canary@db/shop"},
        {"url": "redis://:canary@cache/0"},
        {"url": "postgresql+psycopg://shop:can@ry-canary@db/shop"},
        {"deep": {"er": [{"url": "amqp://a:canary@b"}]}},
        {"settings": Settings(database_url="postgresql://shop:canary@db/shop", secret_key="canary")},
    ],
    ids=str,
)
def test_a_secret_in_a_field_is_not_written(write: Callable[..., str], kind: str, facts: dict[str, Any]) -> None:
    line = write(kind, lambda: structlog.get_logger("x").warning("something_happened", **facts))

    assert "something_happened" in line
    assert "canary" not in line.lower()
    assert "Y2FuYXJ5" not in line


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "sentence",
    [
        "cannot connect to postgresql://shop:canary@db/shop",
        "sent Authorization: Bearer canary.canary.canary",
        "connection to redis://:canary@cache:6379/0 refused",
    ],
)
def test_a_secret_in_a_sentence_is_not_written(write: Callable[..., str], kind: str, sentence: str) -> None:
    ours = write(kind, lambda: structlog.get_logger("x").error(sentence))
    a_librarys = write(kind, lambda: logging.getLogger("some.library").error("%s", sentence))

    assert "canary" not in ours + a_librarys
    assert sentence.split(maxsplit=1)[0] in ours
    assert sentence.split(maxsplit=1)[0] in a_librarys


@pytest.mark.parametrize("kind", FORMATS)
def test_a_crash_is_written_without_what_the_variables_held(write: Callable[..., str], kind: str) -> None:
    suffix = "ary"

    def crash() -> None:
        try:
            open_the_safe(f"can{suffix}")
        except ValueError as error:
            structlog.get_logger("x").error("it_crashed", exc_info=error)
            logging.getLogger("some.library").exception("it crashed there")

    written = write(kind, crash)

    assert "open_the_safe" in written
    assert "the safe stays shut" in written
    assert "canary" not in written


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("message", ["postgresql://shop:canary@db/shop", "Bearer canary.canary.canary"])
def test_a_secret_in_the_words_of_a_crash_is_not_written(write: Callable[..., str], kind: str, message: str) -> None:
    def crash() -> None:
        try:
            lose_the_connection(message)
        except RuntimeError as error:
            structlog.get_logger("x").error("it_crashed", exc_info=error)
            logging.getLogger("some.library").exception("it crashed there")

    written = write(kind, crash)

    assert "RuntimeError" in written
    assert "OSError" in written
    assert "canary" not in written


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\tb",
        'a"b',
        "\N{LINE SEPARATOR}",
        "\u2029",
        "\x85",
        "\x9b",
        "\x7f",
        "\u202e",
        "\ud800",
        "é",
        "{}",
        "%s",
    ],
)
def test_json_is_one_line_per_event_whatever_is_in_it(write: Callable[..., str], text: str) -> None:
    written = write("json", lambda: structlog.get_logger("x").warning("event", text=text))

    assert written.splitlines() == [written.rstrip("\n")]
    assert not any(character in written for character in "\x7f\x85\x9b\u2028\u2029\u202e")
    assert json.loads(written)["text"] == text


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x08", "\r", "\x1b", "\x7f", "\x9b"])
def test_what_could_steer_a_terminal_is_written_in_letters(write: Callable[..., str], character: str) -> None:
    written = write("console", lambda: structlog.get_logger("x").warning("event", text=f"before{character}[2Jafter"))

    assert f"before{character}" not in written
    assert f"x{ord(character):02x}[2Jafter" in written


def test_a_crash_is_one_line_of_json(write: Callable[..., str]) -> None:
    def crash() -> None:
        try:
            open_the_safe("wrong\nkey")
        except ValueError as error:
            structlog.get_logger("x").error("it_crashed", exc_info=error)

    (line,) = write("json", crash).splitlines()

    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["logger"]) == ("it_crashed", "error", "x")
    assert entry["timestamp"].endswith("Z")
    assert entry["exception"][0]["exc_type"] == "ValueError"


def test_what_is_bound_to_a_request_is_in_every_line(write: Callable[..., str]) -> None:
    def work() -> None:
        with structlog.contextvars.bound_contextvars(request_id="find-me"):
            structlog.get_logger("x").warning("ours")
            logging.getLogger("some.library").warning("theirs")

    assert [json.loads(line)["request_id"] for line in write("json", work).splitlines()] == ["find-me", "find-me"]


def test_what_is_below_the_level_is_not_written(write: Callable[..., str]) -> None:
    assert write("json", lambda: structlog.get_logger("x").info("not important")) == ""


@pytest.mark.parametrize(
    ("environment", "kind", "is_json"),
    [
        ("production", "auto", True),
        ("development", "auto", False),
        ("production", "console", False),
        ("test", "json", True),
    ],
)
def test_production_writes_for_machines_and_development_for_people(
    environment: str, kind: str, *, is_json: bool
) -> None:
    values = {"environment": environment, "log_format": kind, "jwt_keys_dir": "keys", "secret_key": "x" * 40}

    assert Settings.model_validate(values | {"database_url": "postgresql://x"}).renders_logs_as_json == is_json


def open_the_safe(combination: str) -> None:
    """Crash with something secret in a local variable."""
    turned = combination * 2
    assert turned
    message = "the safe stays shut"
    raise ValueError(message)


def lose_the_connection(message: str) -> None:
    """Crash because of another crash, with something secret in the words of both."""
    try:
        raise OSError(message)  # noqa: TRY301  # only what is raised has a traceback
    except OSError as cause:
        raise RuntimeError(message) from cause


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Run something that logs, and tell what was written."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(kind: str, action: Callable[[], object]) -> str:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        logs.configure(Settings(environment="test", log_format=kind, log_level="warning"))
        action()
        return stream.getvalue()

    yield run
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level
