"""Lists of any length as files: read page by page, sent as they are read, in bounded memory."""

from __future__ import annotations

import csv
import io
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response, stream_with_context

from api.core.tabular import guarded
from api.extensions import db
from api.rest import caller
from api.rest.strict_json import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.core.paging import Listing
    from api.rest.schemas import ResponseSchema

ROWS_AT_ONCE = 1000
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "ndjson": "application/x-ndjson"}


def stream(listing: Listing, schema: ResponseSchema, *, form: str, name: str) -> Response:
    """Answer with all rows of a list as a file: `csv`, or `ndjson` with one object per line.

    Each page is a transaction of its own, so that nothing is held while a slow reader reads. The first is read at once,
    so that a database that is away is an error; what fails later ends the file early, without its last chunk.
    """
    chunks = (_as_csv if form == "csv" else _as_ndjson)(listing, schema)
    content = stream_with_context(chain([next(chunks)], chunks))
    response = Response(content, content_type=MEDIA_TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return response


def _rows(listing: Listing, schema: ResponseSchema) -> Iterator[list[dict[str, Any]]]:
    after: list[Any] | None = None
    while after is None or after:
        session = db.session()
        rows, after = listing.page(session, limit=ROWS_AT_ONCE, after=after)
        page: list[dict[str, Any]] = plain(schema.dump(rows, many=True))
        session.rollback()
        yield page


def _as_csv(listing: Listing, schema: ResponseSchema) -> Iterator[bytes]:
    columns = [
        name
        for name, field in schema.dump_fields.items()
        if not field.metadata.get("scope") or caller.whoever().may(field.metadata["scope"])
    ]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for page in _rows(listing, schema):
        writer.writerows([guarded(row[name]) for name in columns] for row in page)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _as_ndjson(listing: Listing, schema: ResponseSchema) -> Iterator[bytes]:
    for page in _rows(listing, schema):
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in page)
