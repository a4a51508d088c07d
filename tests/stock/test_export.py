"""The ledger as a file."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, NoReturn

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from api.core.paging import Listing
from api.core.tabular import guarded, unguarded
from api.rest import export
from api.stock import service as stock
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

EXPORT = "/api/v1/stock/movements/export"


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages, without thousands of rows."""
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 3)


def test_as_csv_has_every_movement_once_oldest_first(make: Factory, client: FlaskClient) -> None:
    place, headers = make.location(), make.headers()
    for quantity in range(1, 8):
        make.item(stock=quantity, at=place)
    listed = client.get("/api/v1/stock/movements", headers=headers).get_json()["data"]

    response = client.get(EXPORT, headers=headers)

    assert response.headers["Content-Type"].startswith("text/csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="stock-movements.csv"'
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["id"] for row in rows] == [row["id"] for row in reversed(listed)]
    assert [row["quantity"] for row in rows] == [str(quantity) for quantity in range(1, 8)]
    assert set(rows[0]) == set(listed[0])


def test_as_ndjson_is_what_the_list_shows(make: Factory, client: FlaskClient) -> None:
    headers = make.headers()
    wanted = make.item(stock=4)
    make.item(stock=9)
    make.order((wanted, 1))

    response = client.get(EXPORT, query_string={"format": "ndjson", "sku": wanted.sku}, headers=headers)

    listed = client.get("/api/v1/stock/movements", query_string={"item_id": wanted.id}, headers=headers).get_json()
    assert [json.loads(line) for line in response.text.splitlines()] == listed["data"][::-1]


def test_of_nothing_is_a_file_all_the_same(make: Factory, client: FlaskClient) -> None:
    headers = make.headers()

    assert len(client.get(EXPORT, headers=headers).text.splitlines()) == 1
    assert client.get(EXPORT, query_string={"format": "ndjson"}, headers=headers).text == ""


def test_defuses_what_a_spreadsheet_would_run(make: Factory, client: FlaskClient, session: Session) -> None:
    place, item = make.location(), make.item()
    reference = '=HYPERLINK("http://evil.example", "a, b")'
    lines = [stock.Line(item_id=item.id, quantity=1)]
    stock.receive(session, location_id=place.id, lines=lines, by=make.by, reference=reference)

    response = client.get(EXPORT, headers=make.headers())

    (row,) = csv.DictReader(io.StringIO(response.text, newline=""))
    assert row["reference"] == f"'{reference}"


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_database_that_is_away_is_no_file(
    make: Factory, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    headers = make.headers()
    monkeypatch.setattr(Listing, "page", _be_away)

    response = client.get(EXPORT, query_string={"format": form}, headers=headers)

    assert_problem(response, 503, "database_unavailable", None)


def _be_away(*_: object, **__: object) -> NoReturn:
    message = "the connection is lost"
    raise OperationalError("SELECT", None, psycopg.OperationalError(message))


@pytest.mark.parametrize("cell", ["=1+1", "+1-2", "-cmd", "@SUM(A1)", "\tx", "\rx"])
def test_a_formula_gets_an_apostrophe_that_can_be_taken_away_again(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"
    assert unguarded(f"'{cell}") == cell


@pytest.mark.parametrize("cell", ["-12.50", "+3", "plain", "'quoted", "", "a=b", 7, None])
def test_what_is_no_formula_stays_as_it_is(cell: object) -> None:
    assert guarded(cell) == cell
    assert not isinstance(cell, str) or unguarded(cell) == cell


def test_what_is_asked_for_must_be_something_there_is(make: Factory, client: FlaskClient) -> None:
    response = client.get(EXPORT, query_string={"format": "xml"}, headers=make.headers())

    assert response.status_code == 422
    assert response.get_json()["error"]["field"] == "format"
