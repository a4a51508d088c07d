"""Returns over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from api.orders import service as orders
    from tests.factories import Factory


@pytest.fixture
def sent(make: Factory) -> orders.Placed:
    order = make.order((make.item(stock=5), 4))
    make.shipment(order)
    return order


def url(order: orders.Placed, *rest: str) -> str:
    return "/".join([f"/api/v1/orders/{order.id}/returns", *rest])


def test_the_smallest_body_asks_for_everything_and_receiving_takes_it(
    make: Factory, client: FlaskClient, sent: orders.Placed
) -> None:
    headers = make.headers(role="clerk")

    asked = client.post(url(sent), json={}, headers=headers)
    body = asked.get_json()
    done = client.post(url(sent, body["id"], "receive"), json={"refund_amount": "2.50"}, headers=headers)
    shown = client.get(url(sent, body["id"]), headers=headers)

    assert (asked.status_code, asked.headers["ETag"]) == (201, '"1"')
    assert asked.headers["Location"].endswith(url(sent, body["id"]))
    assert (done.status_code, done.get_json()["status"], done.get_json()["refund_amount"]) == (200, "received", "2.50")
    assert shown.get_json() == done.get_json()
    listed = client.get(url(sent), headers=headers).get_json()["data"]
    everywhere = client.get("/api/v1/returns?status=received", headers=headers).get_json()["data"]
    assert [row["id"] for row in listed] == [body["id"]]
    assert body["id"] in {row["id"] for row in everywhere}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"lines": []}, "wrong_length", "lines"),
        ({"lines": [{"quantity": 1}]}, "required", "lines.0.line_no"),
        ({"lines": [{"line_no": 1, "sku": "A", "quantity": 1}]}, "required", "lines.0.line_no"),
        ({"lines": [{"line_no": 9, "quantity": 1}]}, "order_line_not_found", "lines.0.line_no"),
        ({"lines": [{"line_no": 1, "quantity": 0}]}, "out_of_range", "lines.0.quantity"),
        ({"condition": "damaged"}, "unknown_field", "condition"),
    ],
    ids=["no lines", "no name", "two names", "no such line", "no units", "unknown"],
)
def test_wrong_input_is_pointed_at(
    make: Factory, client: FlaskClient, sent: orders.Placed, body: dict[str, object], code: str, field: str
) -> None:
    assert_problem(client.post(url(sent), json=body, headers=make.headers()), 422, code, field)


def test_amounts_have_the_places_of_the_currency(make: Factory, client: FlaskClient, sent: orders.Placed) -> None:
    asked = make.return_(sent)

    answer = client.post(url(sent, str(asked.id), "receive"), json={"refund_amount": "1.005"}, headers=make.headers())

    assert_problem(answer, 422, "too_many_decimals", "refund_amount")


def test_what_there_is_not_is_404(make: Factory, client: FlaskClient, sent: orders.Placed) -> None:
    headers = make.headers()
    other = make.order((make.item(stock=1), 1))
    asked = make.return_(sent)

    assert_problem(client.get(url(sent, str(uuid4())), headers=headers), 404, "return_not_found", None)
    assert_problem(client.get(url(other, str(asked.id)), headers=headers), 404, "return_not_found", None)
