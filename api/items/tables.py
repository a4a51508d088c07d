"""Items as files: CSV that spreadsheets open (RFC 4180, OWASP "CSV Injection"), and NDJSON with one object per line."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import orjson

from api.core.errors import DomainError
from api.core.tabular import FORMULA_STARTS
from api.rest import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

COLUMNS = (
    "sku",
    "name",
    "description",
    "unit",
    "unit_price",
    "cost_price",
    "is_stocked",
    "barcode",
    "category",
    "tags",
    "attributes",
    "image_url",
    "reorder_point",
    "reorder_quantity",
    "backorders",
    "lead_time_days",
)
WHOLE_NUMBERS = ("reorder_point", "reorder_quantity", "lead_time_days", "version")
NEVER_NULL = ("sku", "name", "unit", "unit_price", "is_stocked", "version")
"""An empty cell says nothing about these, and takes any other fact away."""

SEPARATOR = "|"
LONGEST_CELL = 1_000_000
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


class Unreadable(ValueError):
    """A table is none: from this line on nobody can tell what belongs where."""

    def __init__(self, line: int, text: str) -> None:
        """Say where and why."""
        super().__init__(f"Line {line}: {text}")


def read(lines: Iterable[bytes], *, form: str) -> Iterator[tuple[int, Any]]:
    """Read rows with the numbers of their lines, counted from 1; one that is no object comes as it is.

    Raises:
        Unreadable: the text is not UTF-8, or the table has no header or lines of different widths.

    """
    return _read_csv(lines) if form == "csv" else _read_ndjson(lines)


def write_header() -> str:
    """Write the first line of a CSV file."""
    return _line(COLUMNS)


def write(row: Mapping[str, Any], *, form: str) -> str:
    """Write one item as a line (in CSV, of as many lines as its description has)."""
    kept = {name: row[name] for name in COLUMNS}
    if form == "ndjson":
        return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE).decode()
    return _line(_guarded(_cell(name, value)) for name, value in kept.items())


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _cell(name: str, value: Any) -> str:  # noqa: ANN401  # a fact of any type
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() if name == "tags":
            return SEPARATOR.join(tag.replace("\\", "\\\\").replace(SEPARATOR, f"\\{SEPARATOR}") for tag in value)
        case dict():
            return orjson.dumps(value).decode() if value else ""
    return str(value)


def _read_ndjson(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if text:
            yield number, _json(text)


def _json(text: bytes) -> Any:  # noqa: ANN401  # whatever is there
    """Read JSON; what is none stays text, and is refused where an object belongs."""
    try:
        return strict_json.loads(text)
    except DomainError:
        return text.decode("utf-8", "replace")


def _read_csv(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(_decoded(lines), strict=True)
    csv.field_size_limit(LONGEST_CELL)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if len(set(header)) < len(header) or "sku" not in header:
            raise Unreadable(1, "It must name the columns, each once and one of them sku.")
        number = reader.line_num + 1
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise Unreadable(number, f"There are {len(cells)} cells under {len(header)} columns.")
            if cells:
                yield number, dict(_values(zip(header, cells, strict=True)))
            number = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(reader.line_num, f"{error}.") from None


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).decode()
        except UnicodeDecodeError:
            raise Unreadable(number, "It is not UTF-8.") from None


def _values(cells: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Turn cells into what they would be in JSON; one that is not what its column holds stays text, and is refused."""
    for name, cell in cells:
        text = _unguarded(cell)
        if name == "tags":
            yield name, [tag.replace("\0", SEPARATOR).replace("\1", "\\") for tag in _split(text)]
        elif name == "attributes":
            yield name, _json(text.encode()) if text else {}
        elif text == "" and name in COLUMNS:
            if name not in NEVER_NULL:
                yield name, None
        elif name in WHOLE_NUMBERS and _WHOLE.fullmatch(text):
            yield name, int(text)
        elif name == "is_stocked":
            yield name, {"true": True, "false": False}.get(text.strip().lower(), text)
        elif text or name != "version":
            yield name, text


def _split(text: str) -> list[str]:
    marked = text.replace("\\\\", "\1").replace(f"\\{SEPARATOR}", "\0")
    return marked.split(SEPARATOR) if text else []


def _guarded(cell: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula, or that would lose its own one."""
    is_risky = cell.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_risky or _has_guard(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if _has_guard(cell) else cell


def _has_guard(cell: str) -> bool:
    return cell.startswith("'") and cell[1:].startswith((*FORMULA_STARTS, "'"))
