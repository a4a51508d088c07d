from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.demo.reading import Malformed, Row
from api.demo.retail import MAXIMUM_LINES, Article, Bucket, Sorted, sort_out
from tests.demo.files import line, sorted_out

if TYPE_CHECKING:
    from pathlib import Path


def row(**facts: object) -> Row:
    moment = datetime(2009, 12, 1, 7, 45, tzinfo=UTC)
    usual = Row(2, "489434", "85048", "GLASS BALL", 12, moment, Decimal("6.95"), "13085", "United Kingdom")
    return usual._replace(**facts)  # type: ignore[arg-type]  # tests name real fields


def undone(result: Sorted) -> list[tuple[str, int, int]]:
    return [(one.invoice.number, one.line_no, one.quantity) for one in result.undoings]


@pytest.mark.parametrize(
    ("cells", "bucket"),
    [
        ({}, Bucket.SALE),
        ({"price": "0.001"}, Bucket.SALE),
        ({"quantity": "0"}, Bucket.NO_UNITS),
        ({"quantity": "-3", "price": "0"}, Bucket.NO_UNITS),
        ({"price": "0"}, Bucket.NO_PRICE),
        ({"price": "-1.5"}, Bucket.NO_PRICE),
        ({"invoice": "A506401", "price": "-53594.36"}, Bucket.ADJUSTMENT),
        ({"invoice": "C489449", "quantity": "-1"}, Bucket.UNMATCHED),
        ({"invoice": "c489449", "quantity": "-1", "customer": ""}, Bucket.NO_CUSTOMER),
        ({"invoice": "C496350", "quantity": "1"}, Bucket.NOT_NEGATIVE),
        ({"quantity": "many"}, Bucket.MALFORMED),
    ],
)
def test_every_line_falls_into_its_bucket(tmp_path: Path, cells: dict[str, str], bucket: Bucket) -> None:
    assert sorted_out(tmp_path, line(**cells)).buckets == {bucket: 1}


def test_lines_after_the_days_asked_for_are_left_out(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(invoice="2", invoicedate="2009-12-02 23:59:59"),
        line(invoice="3", invoicedate="2009-12-03 00:00:00"),
        line(invoice="1", invoicedate="2009-12-01 18:00:00"),
        limit_days=2,
    )

    assert result.buckets == {Bucket.SALE: 2, Bucket.TOO_LATE: 1}
    assert set(result.invoices) == {"1", "2"}


def test_an_order_keeps_its_lines_in_the_order_of_the_file_and_takes_the_first_of_its_moments(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(stockcode="B", invoicedate="2009-12-01 07:46:00"),
        line(stockcode="A", invoicedate="2009-12-01 07:45:00"),
        line(stockcode="b"),
    )

    (invoice,) = result.invoices.values()
    assert [sale.key for sale in invoice.sales] == ["B", "A", "B"]
    assert invoice.at == datetime(2009, 12, 1, 7, 45, tzinfo=UTC)


def test_an_order_has_no_more_lines_than_the_api_allows() -> None:
    result = sort_out(row(line=number) for number in range(MAXIMUM_LINES + 5))

    assert result.buckets == {Bucket.SALE: MAXIMUM_LINES, Bucket.TOO_LONG: 5}
    assert result.articles["85048"].units == 12 * MAXIMUM_LINES


def test_codes_that_differ_in_letter_case_are_one_item_under_the_most_usual_spelling(tmp_path: Path) -> None:
    result = sorted_out(tmp_path, line(stockcode="85123a"), line(stockcode="85123A"), line(stockcode="85123A "))

    assert [article.sku for article in result.articles.values()] == ["85123A"]
    assert result.folded_codes == 1


def test_an_item_has_its_most_usual_description_and_its_latest_price(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(description="BALL", price="3", invoicedate="2009-12-03 10:00:00"),
        line(description="GLASS BALL", price="1"),
        line(description="GLASS BALL", price="2"),
        line(description="", price="1"),
    )

    (article,) = result.articles.values()
    assert (article.name, article.price, article.units) == ("GLASS BALL", Decimal(3), 48)


def test_an_item_without_a_description_is_called_by_its_sku(tmp_path: Path) -> None:
    (article,) = sorted_out(tmp_path, line(description=" ")).articles.values()

    assert article.name == "85048"


@pytest.mark.parametrize("code", ["POST", "m", "C2", "BANK CHARGES", "ADJUST2", "AMAZONFEE", "gift_0001_20", "TEST001"])
def test_codes_that_are_no_goods_are_not_stocked(code: str) -> None:
    article = Article()
    article.add(row(code=code))

    assert not article.is_stocked


@pytest.mark.parametrize("code", ["85048", "DCGS0058", "PADS", "SP1002", "79323P"])
def test_goods_are_stocked(code: str) -> None:
    article = Article()
    article.add(row(code=code))

    assert article.is_stocked


def test_a_cancellation_takes_back_the_customers_latest_earlier_sales_of_the_item(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(invoice="1", quantity="5", invoicedate="2009-12-01 08:00:00"),
        line(invoice="2", quantity="3", invoicedate="2009-12-02 08:00:00"),
        line(invoice="3", quantity="9", invoicedate="2009-12-02 09:00:00", customer="17850.0"),
        line(invoice="4", quantity="9", invoicedate="2009-12-02 09:00:00", stockcode="OTHER"),
        line(invoice="C5", quantity="-4", invoicedate="2009-12-03 08:00:00"),
        line(invoice="6", quantity="9", invoicedate="2009-12-04 08:00:00"),
    )

    assert undone(result) == [("2", 1, 3), ("1", 1, 1)]
    assert result.buckets[Bucket.CANCELLED] == 1
    assert result.units_cancelled == 4


def test_no_unit_is_cancelled_twice(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(invoice="1", quantity="5"),
        line(invoice="C2", quantity="-3", invoicedate="2009-12-02 08:00:00"),
        line(invoice="C3", quantity="-3", invoicedate="2009-12-03 08:00:00"),
        line(invoice="C4", quantity="-1", invoicedate="2009-12-04 08:00:00"),
    )

    assert undone(result) == [("1", 1, 3), ("1", 1, 2)]
    assert result.buckets == {
        Bucket.SALE: 1,
        Bucket.CANCELLED: 1,
        Bucket.CANCELLED_IN_PART: 1,
        Bucket.UNMATCHED: 1,
    }


def test_history_is_told_in_the_order_of_time(tmp_path: Path) -> None:
    result = sorted_out(
        tmp_path,
        line(invoice="3", invoicedate="2009-12-03 08:00:00"),
        line(invoice="C2", quantity="-3", invoicedate="2009-12-02 08:00:00"),
        line(invoice="1"),
    )

    assert [step.at.day for step in result.history()] == [1, 2, 3]


rows = st.builds(
    Row,
    line=st.integers(2, 99),
    invoice=st.sampled_from(["1", "2", "C3", "c4", "A5"]),
    code=st.sampled_from(["A", "a", "POST"]),
    description=st.sampled_from(["", "BALL"]),
    quantity=st.integers(-5, 5),
    at=st.datetimes(datetime(2009, 12, 1), datetime(2009, 12, 5), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds it
    price=st.sampled_from([Decimal(-1), Decimal(0), Decimal("0.001"), Decimal("2.55")]),
    customer=st.sampled_from(["", "13085", "17850"]),
    country=st.just("EIRE"),
)
malformed = st.builds(Malformed, line=st.integers(2, 99), reason=st.just("7 columns instead of 8"))


@given(st.lists(rows | malformed, max_size=40), st.none() | st.integers(1, 4))
def test_buckets_always_add_up(lines: list[Row | Malformed], limit_days: int | None) -> None:
    result = sort_out(lines, limit_days=limit_days)

    assert result.buckets.total() == result.lines == len(lines)
    assert result.buckets[Bucket.SALE] == sum(len(invoice.sales) for invoice in result.invoices.values())
    assert result.buckets[Bucket.MALFORMED] == len(result.malformed)


@given(st.lists(rows, max_size=40))
def test_only_earlier_sales_of_the_customer_are_cancelled_and_none_beyond_its_units(lines: list[Row]) -> None:
    result = sort_out(lines)

    units: dict[tuple[str, int], int] = {}
    for undoing in result.undoings:
        sale = undoing.invoice.sales[undoing.line_no - 1]
        place = undoing.invoice.number, undoing.line_no
        units[place] = units.get(place, 0) + undoing.quantity
        assert undoing.quantity > 0
        assert undoing.invoice.customer
        assert undoing.invoice.at <= undoing.at
        assert units[place] <= sale.quantity
