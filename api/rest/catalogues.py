"""The reference pages that are read off the code: errors, configuration and permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from api.config import Settings
from api.core.errors import DomainError
from api.core.scopes import PERMISSIONS, ROLES
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


PERMISSIONS_HEAD = """# Who may do what

A role is a set of scopes, and each role holds all that the one before it holds. An API key holds scopes of its own, at
most those of its owner's role at the moment it is used. What belongs to somebody else is not there (404) for whoever
may only see their own. This page is written by `flask spec` from the code.

## Scopes

| scope | allows | customer | clerk | manager | admin | API key |
|---|---|---|---|---|---|---|
"""

OPERATIONS_HEAD = """
## Operations

| operation | needs | customer | clerk | manager | admin |
|---|---|---|---|---|---|
"""


EVENTS_HEAD = """# Types of events

What the [feed](events.md) tells and webhooks carry. `data` may get further fields, and never loses any: bear what you
do not know. A caller sees the types whose scopes it holds. This page is written by `flask spec` from the code.

| type | says | subject and scopes |
|---|---|---|
"""


def render_events(document: dict[str, Any]) -> str:
    """Write the catalogue of events as Markdown: an overview, and the JSON Schema of each type's data."""
    posts = {name: members["post"] for name, members in document["webhooks"].items()}
    rows = [
        f"| [`{name}`](#{name.replace('.', '')}) | {post['summary']} | {post['description']} |"
        for name, post in posts.items()
    ]
    schemas = [f"\n## `{name}`\n\n```json\n{_data_schema(post)}\n```\n" for name, post in posts.items()]
    return EVENTS_HEAD + "\n".join(rows) + "\n" + "".join(schemas)


def _data_schema(post: dict[str, Any]) -> str:
    schema = post["requestBody"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]["data"]
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()


def render_permissions(document: dict[str, Any]) -> str:
    """Write the permission matrix as Markdown: scopes by role, and operations by role."""
    scopes = [
        f"| `{scope}` | {permission.allows} | {_ticks({scope})} | {_tick(permission.for_keys)} |"
        for scope, permission in PERMISSIONS.items()
    ]
    operations = [
        f"| `{method.upper()} {path}` | {_needs(operation)} | {_ticks(_demanded(operation))} |"
        for path, members in document["paths"].items()
        for method, operation in members.items()
        if method != "parameters"
    ]
    return PERMISSIONS_HEAD + "\n".join(scopes) + "\n" + OPERATIONS_HEAD + "\n".join(operations) + "\n"


def _demanded(operation: dict[str, Any]) -> set[str]:
    return {scope for kind in operation["security"] for scopes in kind.values() for scope in scopes}


def _needs(operation: dict[str, Any]) -> str:
    if not operation["security"]:
        return "nothing"
    return ", ".join(f"`{scope}`" for scope in sorted(_demanded(operation))) or "a login or an API key"


def _ticks(scopes: set[str]) -> str:
    return " | ".join(_tick(scopes <= held) for held in ROLES.values())


def _tick(is_so: bool) -> str:  # noqa: FBT001  # one value, one sign
    return "✓" if is_so else ""


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
    for kind in sorted(kinds_of_error(), key=lambda kind: (kind.__module__, kind.__qualname__)):
        if "code" in vars(kind):
            yield kind.code, status_of(kind), (kind.__doc__ or "").splitlines()[0]
    for status, (code, message) in HTTP_MESSAGES.items():
        yield code, status, message
