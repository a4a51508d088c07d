from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from api.demo.errors import FileUnusable
from api.demo.reading import COLUMNS, Malformed, Row, read
from tests.demo.files import line, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_is_understood(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, line()))

    moment = datetime(2009, 12, 1, 7, 45, tzinfo=UTC)
    assert row == Row(
        2, "489434", "85048", "GLASS BALL", 12, moment, Decimal("6.95"), customer="13085", country="United Kingdom"
    )


def test_a_compressed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = write(tmp_path, line(), line(invoice="C489449", quantity="-1"))
    packed = tmp_path / "invoices"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    assert list(read(packed)) == list(read(plain))


def test_names_lose_what_no_name_may_hold(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, line(stockcode=" 47503J ", description="  TEA\tPOT\u200b " + "X" * 300)))

    assert isinstance(row, Row)
    assert row.code == "47503J"
    assert row.description.startswith("TEA POT  X")
    assert len(row.description) == 200


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"invoice": ""}, "Invoice '' is not an invoice number"),
        ({"stockcode": "a\tb"}, "StockCode 'a\\tb' is not an item's code"),
        ({"stockcode": "9" * 65}, f"StockCode '{'9' * 40}' is not an item's code"),
        ({"quantity": "twelve"}, "Quantity 'twelve' is not a whole number"),
        ({"quantity": "1_000"}, "Quantity '1_000' is not a whole number"),
        ({"quantity": "1000001"}, "Quantity '1000001' is beyond 1,000,000"),
        ({"invoicedate": "01/12/2009"}, "InvoiceDate '01/12/2009' is not a date and time like 2009-12-01 07:45:00"),
        (
            {"invoicedate": "2009-02-30 07:45:00"},
            "InvoiceDate '2009-02-30 07:45:00' is not a date and time like 2009-12-01 07:45:00",
        ),
        ({"price": "NaN"}, "Price 'NaN' is not a decimal number"),
        ({"price": "0.00001"}, "Price '0.00001' has more than 4 decimal places"),
        ({"price": "10000000000"}, "Price '10000000000' is not below 10,000,000,000"),
    ],
)
def test_a_malformed_line_is_named_with_its_reason(tmp_path: Path, cells: dict[str, str], reason: str) -> None:
    first, second = read(write(tmp_path, line(), line(**cells)))

    assert isinstance(first, Row)
    assert second == Malformed(3, reason)


def test_needless_zeros_of_a_price_are_no_reason_to_refuse_it(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, line(price="2.5500000")))

    assert isinstance(row, Row)
    assert row.price == Decimal("2.55")


def test_a_line_of_another_length_is_malformed(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, line()[:7]))

    assert row == Malformed(2, "7 columns instead of 8")


def test_a_quote_that_is_never_closed_says_how_far_it_reaches(tmp_path: Path) -> None:
    path = tmp_path / "invoices.csv"
    path.write_text(f'{",".join(COLUMNS)}\n489434,85048,"GLASS\nBALL\n', "utf-8")

    assert list(read(path)) == [Malformed(2, "3 columns instead of 8, through line 3")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has other columns"),
        (b"sku,name\n1,2\n", "has other columns"),
        (gzip.compress(",".join(COLUMNS).encode() * 99)[:30], "ends in the middle"),
        (gzip.compress(b"x")[:-8] + b"\0" * 8, "cannot be read"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xff" * 30, "ends in the middle or is damaged"),
        (b"Invoice,\xff\xfe\n", "is not UTF-8 text"),
        (b"Invoice," + b"x" * 200_000, "is not CSV"),
    ],
    ids=["empty", "other columns", "cut off", "wrong sum", "damaged", "no text", "no CSV"],
)
def test_a_file_of_another_kind_is_refused_with_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "invoices.csv"
    path.write_bytes(content)

    with pytest.raises(FileUnusable, match=reason):
        list(read(path))


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match=r"invoices\.csv cannot be read: No such file or directory"):
        list(read(tmp_path / "invoices.csv"))
