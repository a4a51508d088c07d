"""Reading requests: what is not understood is refused, never ignored."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

import marshmallow as ma
from webargs.flaskparser import FlaskParser

from api.core.errors import Malformed, Problem, RuleViolation, UnsupportedMedia
from api.rest import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask import Request

MAXIMUM_PROBLEMS = 1000
"""An answer lists no more than this; without a bound, 2 MB of nonsense get 50 MB of answer."""


class BodyMissing(Malformed):
    """There is no body where one belongs."""

    code = "body_missing"
    message = "The body is empty; send a JSON object, {{}} when there is nothing to say."


class WrongMediaType(UnsupportedMedia):
    """The body is declared as something else than JSON."""

    code = "unsupported_media_type"
    message = "Send the body as {expected} (the Content-Type header says {found})."


class WrongEncoding(UnsupportedMedia):
    """The body is compressed."""

    code = "content_encoding_unsupported"
    message = "Send the body without Content-Encoding."


class InvalidInput(RuleViolation):
    """Fields are wrong; the code and message are those of the first, the details list all."""

    code = "invalid_value"
    message = "The input is not valid."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Collect the problems; there is at least one."""
        super().__init__(problems=problems)
        self.problem = problems[0]


class Parser(FlaskParser):
    """The only way input enters."""

    DEFAULT_VALIDATION_STATUS = HTTPStatus.UNPROCESSABLE_ENTITY
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012  # declared so by webargs
        "json": ma.RAISE,
        "form": ma.RAISE,
        "query": ma.RAISE,
        "path": ma.RAISE,
        "headers": ma.EXCLUDE,
    }

    def __init__(self) -> None:
        """Know no schemas yet."""
        super().__init__()
        self._schemas: dict[type[ma.Schema], ma.Schema] = {}

    def _get_schema(self, argmap: Any, req: Request) -> ma.Schema:
        """Build each schema once: building copies all of its fields, and reading does not change it."""
        if not isinstance(argmap, type):
            return super()._get_schema(argmap, req)
        if argmap not in self._schemas:
            self._schemas[argmap] = super()._get_schema(argmap, req)
        return self._schemas[argmap]

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Read the JSON body."""
        _require_media_type(req, "application/json")
        return strict_json.loads(req.get_data(cache=True))

    def load_form(self, req: Request, schema: ma.Schema) -> Any:
        """Read a URL-encoded form."""
        _require_media_type(req, "application/x-www-form-urlencoded")
        _refuse_repetition(req.form, schema)
        return super().load_form(req, schema)

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Read the query string."""
        _refuse_repetition(req.args, schema)
        return super().load_querystring(req, schema)

    def handle_error(
        self,
        error: ma.ValidationError,
        req: Request,  # the signature is webargs'
        schema: ma.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Turn marshmallow's nested messages into a flat list of problems."""
        (messages,) = error.messages_dict.values()  # under the name of the place that was read, as in "json"
        raise InvalidInput(tuple(islice(flatten(messages), MAXIMUM_PROBLEMS))) from error


def flatten(messages: Any, path: tuple[str, ...] = ()) -> Iterator[Problem]:
    """List every problem with its place, as in `lines.0.quantity`."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from flatten(inner, path if key == "_schema" else (*path, strict_json.visible(str(key))))
    elif isinstance(messages, list | tuple):
        for inner in messages:
            yield from flatten(inner, path)
    else:
        yield Problem(getattr(messages, "code", "invalid_value"), str(messages), ".".join(path) if path else None)


def _require_media_type(req: Request, expected: str) -> None:
    if req.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise WrongEncoding
    if not req.get_data(cache=True, parse_form_data=False):
        raise BodyMissing
    charset = req.mimetype_params.get("charset", "utf-8").lower()
    if req.mimetype != expected or charset not in {"utf-8", "utf8"}:
        raise WrongMediaType(expected=expected, found=req.headers.get("Content-Type") or "nothing")


def refuse_parameters(req: Request) -> None:
    """Refuse every query parameter, where none is documented.

    Raises:
        InvalidInput: naming each.

    """
    if req.args:
        names, text = map(strict_json.visible, req.args), "There is no such parameter here."
        raise InvalidInput(tuple(Problem("unknown_field", text, name) for name in names))


def _refuse_repetition(values: Any, schema: ma.Schema) -> None:
    repeated = [
        strict_json.visible(name)
        for name, given in values.lists()
        if len(given) > 1 and not getattr(schema.fields.get(name), "is_multiple", False)
    ]
    if repeated:
        raise InvalidInput(tuple(Problem("repeated_parameter", "Send this parameter once.", name) for name in repeated))
