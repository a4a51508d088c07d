"""The reference pages that are read off the code: docs/errors.md and docs/configuration.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.config import Settings
from api.core.errors import DomainError
from api.rest.messages import FIELD_CODES
from api.rest.problems import HTTP_MESSAGES, STATUS_OF_KIND, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS_HEAD = """# Error codes

Every failure has one form, and its `code` is stable: programs decide on it. `details` lists every problem of a
request; the head repeats the first. This page is written by `flask spec` from the code.

| code | status | meaning |
|---|---|---|
"""


SETTINGS_HEAD = """# Configuration

Stockroom reads environment variables, once, when it starts; a value that is missing or wrong ends the start with a
sentence that names it. `flask up` sets those it can. This page is written by `flask spec` from the code.

| variable | default | meaning |
|---|---|---|
"""


def render_settings() -> str:
    """Write the table of environment variables as Markdown."""
    rows = [
        f"| `{name.upper()}` | {_shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


def _shown(default: object) -> str:
    return f"`{default}`" if default not in (None, ()) else ""


def render_errors() -> str:
    """Write the catalogue as Markdown."""
    meanings: dict[tuple[str, int], str] = {}
    for code, status, meaning in _entries():
        meanings.setdefault((code, int(status)), meaning)
    rows = [f"| `{code}` | {status} | {meaning} |" for (code, status), meaning in sorted(meanings.items())]
    return ERRORS_HEAD + "\n".join(rows) + "\n"


def kinds_of_error(kind: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """List every refusal that has a code."""
    for child in kind.__subclasses__():
        if child not in STATUS_OF_KIND and child.__module__.startswith("api."):
            yield child
        yield from kinds_of_error(child)


def _entries() -> Iterator[tuple[str, int, str]]:
    for code, meaning in FIELD_CODES.items():
        yield code, 422, meaning
    for kind in kinds_of_error():
        if "code" in vars(kind):
            yield kind.code, status_of(kind), (kind.__doc__ or "").splitlines()[0]
    for status, (code, message) in HTTP_MESSAGES.items():
        yield code, status, message
