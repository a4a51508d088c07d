"""The structlog pipeline: one JSON object a line in production, readable text on a terminal."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from typing import TYPE_CHECKING

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from api.config import Settings

REDACTED = "[redacted]"
WITHOUT_LOCALS = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Tracebacks as data, without the local variables, which hold passwords and tokens."""

_SECRET_NAME = re.compile(r"password|secret|token|authorization|cookie|api_key|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]*):\S+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What could move a terminal's cursor or set its title; line breaks and tabs stay."""

_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")


_API_KEY = re.compile(r"sr_[a-z2-7]{12}_[\w-]+")


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
        final: list[Processor] = [WITHOUT_LOCALS, redact, structlog.processors.JSONRenderer()]
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
            "loggers": {"alembic": {"level": "WARNING"}, "procrastinate": {"level": "WARNING"}},
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep secrets out of the log, whatever field or sentence they hide in."""
    return {key: REDACTED if _SECRET_NAME.search(key) else _clean(value) for key, value in event.items()}


def make_visible(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Spell out control characters, which a terminal would obey."""
    return {
        key: _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _clean(value: object) -> object:
    if isinstance(value, str):
        value = _API_KEY.sub(REDACTED, value)
        return _BEARER.sub(rf"\1 {REDACTED}", _URL_PASSWORD.sub(rf"\g<scheme>:{REDACTED}@", value))
    if isinstance(value, dict):
        return redact(None, "", value)
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return value
