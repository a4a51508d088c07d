"""Reads a shop's invoices, line by line, from CSV in the form of UCI's "Online Retail II"."""

from __future__ import annotations

import csv
import gzip
import re
import unicodedata
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from api.core import money
from api.demo.errors import FileUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country")
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_QUANTITY = 1_000_000
LONGEST_FACT = 200
SHOWN = 40
"""So much of a faulty cell is quoted."""

DISTINCT = 16_384
"""So many different values of a column are remembered, because most repeat."""

INVISIBLE = frozenset({"Cc", "Cf", "Cs"})

_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/-]{0,62}[A-Za-z0-9])?")
_INVOICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/-]{0,198}[A-Za-z0-9])?")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]+)?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


class Row(NamedTuple):
    """One line of the file, understood."""

    line: int
    invoice: str
    code: str
    description: str
    quantity: int
    at: datetime
    price: Decimal
    customer: str
    country: str


class Malformed(NamedTuple):
    """One line of the file that says nothing."""

    line: int
    reason: str


def read(path: Path) -> Iterator[Row | Malformed]:
    """Read every line of a file, compressed or not.

    Raises:
        FileUnusable: it cannot be read, or has other columns.

    """
    try:
        with _open(path) as file:
            yield from _rows(path, file)
    except OSError as error:
        raise FileUnusable(path=path, reason=f"cannot be read: {error.strerror or error}.") from error
    except (EOFError, zlib.error) as error:
        raise FileUnusable(path=path, reason="ends in the middle or is damaged.") from error
    except UnicodeDecodeError as error:
        raise FileUnusable(path=path, reason="is not UTF-8 text.") from error
    except csv.Error as error:
        raise FileUnusable(path=path, reason=f"is not CSV: {error}.") from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        is_compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    if is_compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path, file: IO[str]) -> Iterator[Row | Malformed]:
    reader = csv.reader(file)
    header = next(reader, [])
    if tuple(header) != COLUMNS:
        raise FileUnusable(path=path, reason=f"has other columns than {', '.join(COLUMNS)}.")
    line = reader.line_num + 1
    for cells in reader:
        try:
            yield _row(line, cells)
        except ValueError as error:
            through = f", through line {reader.line_num}" if reader.line_num > line else ""
            yield Malformed(line, f"{error}{through}")
        line = reader.line_num + 1


def _row(line: int, cells: list[str]) -> Row:
    if len(cells) != len(COLUMNS):
        message = f"{len(cells)} columns instead of {len(COLUMNS)}"
        raise ValueError(message)
    invoice, code, description, quantity, at, price, customer, country = cells
    return Row(
        line,
        _invoice(invoice),
        _code(code),
        _clean(description),
        _quantity(quantity),
        _moment(at),
        _price(price),
        _customer(customer),
        _clean(country),
    )


@lru_cache(4)
def _invoice(text: str) -> str:
    invoice = text.strip()
    if not _INVOICE.fullmatch(invoice):
        message = f"Invoice {text[:SHOWN]!r} is not an invoice number"
        raise ValueError(message)
    return invoice


@lru_cache(DISTINCT)
def _code(text: str) -> str:
    code = text.strip()
    if not _CODE.fullmatch(code):
        message = f"StockCode {text[:SHOWN]!r} is not an item's code"
        raise ValueError(message)
    return code


@lru_cache(DISTINCT)
def _clean(text: str) -> str:
    """Keep what the API would accept as a name."""
    characters = (" " if unicodedata.category(one) in INVISIBLE else one for one in unicodedata.normalize("NFC", text))
    return "".join(characters).strip()[:LONGEST_FACT].rstrip()


@lru_cache(DISTINCT)
def _quantity(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        message = f"Quantity {text[:SHOWN]!r} is not a whole number"
        raise ValueError(message)
    quantity = int(text)
    if abs(quantity) > LARGEST_QUANTITY:
        message = f"Quantity {text[:SHOWN]!r} is beyond {LARGEST_QUANTITY:,}"
        raise ValueError(message)
    return quantity


@lru_cache(4)
def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text.strip()):
            return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        pass
    message = f"InvoiceDate {text[:SHOWN]!r} is not a date and time like 2009-12-01 07:45:00"
    raise ValueError(message)


@lru_cache(DISTINCT)
def _price(text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text.strip()):
        message = f"Price {text[:SHOWN]!r} is not a decimal number"
        raise ValueError(message)
    price = Decimal(text)
    places = money.UNIT_PRICE_PLACES
    if price != round(price, places):
        message = f"Price {text[:SHOWN]!r} has more than {places} decimal places"
        raise ValueError(message)
    if abs(price) >= money.UNIT_PRICE_LIMIT:
        message = f"Price {text[:SHOWN]!r} is not below {money.UNIT_PRICE_LIMIT:,}"
        raise ValueError(message)
    return round(price, places) if -int(price.as_tuple().exponent) > places else price


@lru_cache(DISTINCT)
def _customer(text: str) -> str:
    """Read a number that a spreadsheet made a float of, as in 13085.0."""
    return _clean(text).removesuffix(".0")
