"""The structlog pipeline: one JSON object a line in production, readable text on a terminal."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import sys
from functools import lru_cache
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import orjson
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

    from api.config import Settings

REDACTED = "[redacted]"
TALKATIVE = ("alembic", "procrastinate", "api.core.connections")
"""Whose warnings alone are of interest; a pool of connections writes under the name of the module it is defined in."""

WITHOUT_LOCALS = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Tracebacks as data, without the local variables, which hold passwords and tokens."""

_SECRET_NAME = re.compile(r"password|secret|token|authorization|cookie|api_key|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]*):\S+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What could move a terminal's cursor or set its title; line breaks and tabs stay."""

_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")


_API_KEY = re.compile(r"sr_[a-z2-7]{12}_[\w-]+")
_SUSPICIOUS = re.compile(r"sr_|bearer|basic|:/", re.IGNORECASE)
"""What is in every text that the three above find something in; most texts have none of it."""

_processors: list[Processor] = []
"""One list for good: loggers that have been used hold on to it."""


class LineLogger:
    """Writes lines that are rendered already; the standard library's way there costs more than all the rest of a line.

    That nobody reads them is no reason to fail a request.
    """

    stream: ClassVar[TextIO] = sys.stderr
    lock: ClassVar[RLock] = RLock()

    def __init__(self, name: str = "") -> None:
        """Write what the module `name` has to say."""
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line."""
        try:
            with self.lock:
                self.stream.write(f"{line}\n")
                self.stream.flush()
        except (OSError, ValueError):
            """The reader is gone, or the stream is closed."""

    debug = info = warning = error = critical = fatal = msg


def _begin_anew() -> None:
    """Give a forked process a lock of its own: whoever held it stayed behind."""
    LineLogger.lock = RLock()


os.register_at_fork(after_in_child=_begin_anew)


def configure(settings: Settings) -> None:
    """Send structlog's and the standard library's records through one pipeline to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if settings.renders_logs_as_json:
        final: list[Processor] = [WITHOUT_LOCALS, redact, structlog.processors.JSONRenderer(write_json)]
    else:
        final = [
            structlog.processors.format_exc_info,
            redact,
            make_visible,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"structlog": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
            "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
            "loggers": {name: {"level": "WARNING"} for name in TALKATIVE},
        }
    )
    _processors[:] = [*shared, *final]
    LineLogger.stream = sys.stderr
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=LineLogger,
        cache_logger_on_first_use=True,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep secrets out of the log, whatever field or sentence they hide in."""
    return {key: REDACTED if _is_secret(key) else _clean(value) for key, value in event.items()}


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def write_json(event: EventDict, default: Callable[[Any], Any]) -> str:
    """Write one line of JSON, whatever is in it."""
    try:
        line = orjson.dumps(event, default=default, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except TypeError:  # half of a surrogate pair, a key that is no text, a number beyond 64 bits
        return json.dumps(event, default=default)
    return (
        line if line.isascii() and "\x7f" not in line else _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)
    )


def make_visible(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Spell out control characters, which a terminal would obey."""
    return {
        key: _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _clean(value: object) -> object:
    if isinstance(value, str):
        if not _SUSPICIOUS.search(value):
            return value
        value = _API_KEY.sub(REDACTED, value)
        return _BEARER.sub(rf"\1 {REDACTED}", _URL_PASSWORD.sub(rf"\g<scheme>:{REDACTED}@", value))
    if isinstance(value, dict):
        return redact(None, "", value)
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return value
