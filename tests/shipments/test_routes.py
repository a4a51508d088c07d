"""Shipments over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api.stock import service as stock
from tests.rest.envelope import assert_problem
from tests.statements import counted

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from api.items.models import Item
    from api.locations.models import Location
    from api.orders.drafts import Placed
    from api.shipments.models import Shipment
    from tests.factories import Factory

SHIPMENTS = "/api/v1/shipments"
HOSTILE = "<script>alert(1)</script> & \"Sons'"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;Sons&#39;"


class TestShipping:
    def test_answers_with_the_whole_shipment_and_where_it_is_found(
        self, make: Factory, client: FlaskClient, item: Item, here: Location
    ) -> None:
        order, clerk = make.order((item, 4)), make.user(role="clerk")
        papers = {
            "carrier": "Royal Mail",
            "tracking_number": "RM1",
            "tracking_url": "https://example.com/track/RM1",
            "note": "Two\nparcels",
        }
        body = papers | {"lines": [{"sku": item.sku.lower(), "quantity": 3}]}

        response = client.post(of(order), json=body, headers=make.headers(user=clerk))

        shipment = response.get_json()
        assert response.status_code == 201
        assert response.headers["ETag"] == '"1"'
        assert response.headers["Location"].endswith(f"{of(order)}/{shipment['id']}")
        assert shipment.pop("number").startswith("SH-")
        assert shipment.pop("shipped_at") == shipment.pop("created_at") == shipment.pop("updated_at")
        assert shipment == papers | {
            "id": shipment["id"],
            "order_id": str(order.id),
            "status": "shipped",
            "created_by": str(clerk.id),
            "version": 1,
            "delivered_at": None,
            "lines": [
                {
                    "line_no": 1,
                    "item_id": str(item.id),
                    "sku": item.sku,
                    "name": item.name,
                    "quantity": 3,
                    "location_id": str(here.id),
                    "location_code": here.code,
                }
            ],
        }

    @pytest.mark.parametrize("name", ["item_id", "sku", "line_no"])
    def test_names_what_leaves_in_three_ways(self, make: Factory, client: FlaskClient, item: Item, name: str) -> None:
        named = {"item_id": str(item.id), "sku": item.sku, "line_no": 1}[name]
        body = {"lines": [{name: named, "quantity": 2}]}

        response = client.post(of(make.order((item, 4))), json=body, headers=make.headers(role="clerk"))

        assert [line["quantity"] for line in response.get_json()["lines"]] == [2]

    def test_changes_the_order_s_tag_and_status(self, make: Factory, client: FlaskClient, item: Item) -> None:
        order, headers = make.order((item, 4)), make.headers(role="clerk")
        url = f"/api/v1/orders/{order.id}"
        before = client.get(url, headers=headers)

        client.post(of(order), json={}, headers=headers)

        after = client.get(url, headers=headers)
        assert before.headers["ETag"] != after.headers["ETag"]
        assert (before.get_json()["status"], after.get_json()["status"]) == ("placed", "shipped")
        assert after.get_json()["lines"][0]["shipped_quantity"] == 4

    @pytest.mark.parametrize(
        ("body", "status", "code", "field"),
        [
            pytest.param({"lines": []}, 422, "wrong_length", "lines", id="no lines"),
            pytest.param({"lines": [{"quantity": 1}]}, 422, "required", "lines.0.line_no", id="nothing named"),
            pytest.param(
                {"lines": [{"line_no": 1, "quantity": 0}]}, 422, "out_of_range", "lines.0.quantity", id="no units"
            ),
            pytest.param(
                {"lines": [{"line_no": 9, "quantity": 1}]}, 422, "order_line_not_found", "lines.0.line_no", id="unknown"
            ),
            pytest.param(
                {"lines": [{"line_no": 1, "quantity": 5}]},
                409,
                "exceeds_outstanding",
                "lines.0.quantity",
                id="too many",
            ),
            pytest.param(
                {"tracking_url": "javascript:alert(1)"}, 422, "invalid_format", "tracking_url", id="no web address"
            ),
            pytest.param({"carrier": "x" * 101}, 422, "wrong_length", "carrier", id="a long carrier"),
            pytest.param({"weight": 1}, 422, "unknown_field", "weight", id="an unknown field"),
            pytest.param({"location_id": str(uuid4())}, 422, "location_not_found", "location_id", id="from nowhere"),
        ],
    )
    def test_refuses_what_makes_no_sense(
        self,
        make: Factory,
        client: FlaskClient,
        item: Item,
        *,
        body: dict[str, Any],
        status: int,
        code: str,
        field: str | None,
    ) -> None:
        order = make.order((item, 4))

        assert_problem(client.post(of(order), json=body, headers=make.headers()), status, code, field)

    def test_of_what_is_backordered_tells_how_much_is_there(self, make: Factory, client: FlaskClient) -> None:
        scarce = make.item(stock=2, backorders="allow")
        body = {"lines": [{"line_no": 1, "quantity": 3}]}

        response = client.post(of(make.order((scarce, 5))), json=body, headers=make.headers(role="clerk"))

        (problem,) = assert_problem(response, 409, "not_allocated")
        assert (problem["line_no"], problem["requested"], problem["allocated"]) == (1, 3, 2)

    @pytest.mark.parametrize("verb", ["hold", "cancel"])
    def test_is_refused_while_the_order_is_not_to_be_shipped(
        self, make: Factory, client: FlaskClient, item: Item, verb: str
    ) -> None:
        order, headers = make.order((item, 4)), make.headers(role="clerk")
        client.post(f"/api/v1/orders/{order.id}/{verb}", json={"reason": "Wait"}, headers=headers)

        response = client.post(of(order), json={}, headers=headers)

        assert_problem(response, 409, "invalid_transition", None)

    def test_of_many_lines_takes_few_statements(self, make: Factory, client: FlaskClient, here: Location) -> None:
        made = [make.item(stock=5, at=here) for _ in range(30)]
        small, large = make.order((made[0], 1)), make.order(*[(item, 1) for item in made])
        headers = make.headers(role="clerk")

        with counted() as few:
            one = client.post(of(small), json={}, headers=headers)
        with counted() as many:
            all_ = client.post(of(large), json={}, headers=headers)

        assert (one.status_code, all_.status_code, len(all_.get_json()["lines"])) == (201, 201, 30)
        assert len(many) <= len(few) + 1


class TestWhatItHadCost:
    def test_is_shown_to_who_may_see_costs_and_to_nobody_else(
        self, make: Factory, client: FlaskClient, here: Location
    ) -> None:
        item, customer = make.item(), make.user(role="customer")
        line = stock.Line(item_id=item.id, quantity=10, unit_cost=Decimal("2.55"))
        stock.receive(make.session, location_id=here.id, lines=[line], by=make.by)
        order = make.order((item, 4), by=make.caller(role="customer", user=customer))
        url = f"{of(order)}/{make.shipment(order).id}"

        shown = {
            role: client.get(url, headers=make.headers(role=role)).get_json()["lines"][0].get("value")
            for role in ("clerk", "manager")
        }
        own = client.get(url, headers=make.headers(user=customer)).get_json()

        assert shown == {"clerk": None, "manager": "10.20"}
        assert "value" not in own["lines"][0]
        assert "created_by" not in own


class TestACustomer:
    def test_sees_the_shipments_of_own_orders_and_not_those_of_others(
        self, make: Factory, client: FlaskClient, item: Item
    ) -> None:
        customer = make.user(role="customer")
        mine, other = make.order((item, 1), by=make.caller(role="customer", user=customer)), make.order((item, 1))
        my_shipment, its_shipment = make.shipment(mine), make.shipment(other)
        headers = make.headers(user=customer)

        listed = client.get(of(mine), headers=headers).get_json()["data"]
        assert [row["id"] for row in listed] == [str(my_shipment.id)]
        for end in ("", "/packing-slip"):
            assert client.get(f"{of(mine)}/{my_shipment.id}{end}", headers=headers).status_code == 200
            foreign = client.get(f"{of(other)}/{its_shipment.id}{end}", headers=headers)
            assert_problem(foreign, 404, "order_not_found", None)
            crossed = client.get(f"{of(mine)}/{its_shipment.id}{end}", headers=headers)
            assert_problem(crossed, 404, "shipment_not_found", None)
        assert_problem(client.get(of(other), headers=headers), 404, "order_not_found", None)

    def test_may_neither_ship_nor_deliver_nor_see_everybody_s(
        self, make: Factory, client: FlaskClient, item: Item
    ) -> None:
        customer = make.user(role="customer")
        order = make.order((item, 2), by=make.caller(role="customer", user=customer))
        shipment, headers = make.shipment(order, (item, 1)), make.headers(user=customer)
        member = f"{of(order)}/{shipment.id}"

        for refused in (
            client.post(of(order), json={}, headers=headers),
            client.post(f"{member}/deliver", json={}, headers=headers),
            client.patch(member, json={"note": "Mine"}, headers=headers | {"If-Match": '"1"'}),
            client.get(SHIPMENTS, headers=headers),
            client.get(f"/api/v1/orders/{order.id}/pick-list", headers=headers),
        ):
            assert_problem(refused, 403, "forbidden", None)


class TestChanging:
    def test_what_is_written_down_takes_the_present_tag(
        self, make: Factory, client: FlaskClient, sent: tuple[Placed, Shipment]
    ) -> None:
        order, shipment = sent
        url, headers = f"{of(order)}/{shipment.id}", make.headers(role="clerk")
        changes = {"tracking_number": "RM2", "carrier": None}

        assert_problem(client.patch(url, json=changes, headers=headers), 428, "precondition_required", None)
        changed = client.patch(url, json=changes, headers=headers | {"If-Match": '"1"'})
        stale = client.patch(url, json={"note": "Late"}, headers=headers | {"If-Match": '"1"'})

        assert (changed.status_code, changed.headers["ETag"], stale.status_code) == (200, '"2"', 412)
        shown = client.get(url, headers=headers)
        assert shown.get_json() == changed.get_json()
        assert changes.items() <= shown.get_json().items()
        assert client.get(url, headers=headers | {"If-None-Match": '"2"'}).status_code == 304

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            pytest.param({}, "required", None, id="nothing"),
            pytest.param({"lines": []}, "unknown_field", "lines", id="what has left"),
            pytest.param({"status": "delivered"}, "unknown_field", "status", id="its status"),
            pytest.param({"tracking_url": "ftp://example.com"}, "invalid_format", "tracking_url", id="no web address"),
        ],
    )
    def test_refuses_what_cannot_be_changed(
        self,
        make: Factory,
        client: FlaskClient,
        sent: tuple[Placed, Shipment],
        *,
        changes: dict[str, Any],
        code: str,
        field: str | None,
    ) -> None:
        order, shipment = sent
        headers = make.headers() | {"If-Match": '"1"'}

        response = client.patch(f"{of(order)}/{shipment.id}", json=changes, headers=headers)

        assert_problem(response, 422, code, field)


class TestDelivering:
    def test_is_told_under_a_new_tag_and_only_once(
        self, make: Factory, client: FlaskClient, sent: tuple[Placed, Shipment]
    ) -> None:
        order, shipment = sent
        url, headers = f"{of(order)}/{shipment.id}/deliver", make.headers(role="clerk")

        first = client.post(url, json={}, headers=headers)
        second = client.post(url, json={}, headers=headers)

        assert (first.status_code, first.headers["ETag"], first.get_json()["status"]) == (200, '"2"', "delivered")
        assert first.get_json()["delivered_at"] is not None
        assert_problem(second, 409, "invalid_transition", None)
        shown = client.get(f"/api/v1/orders/{order.id}", headers=headers).get_json()
        assert (shown["status"], shown["lines"][0]["delivered_quantity"]) == ("delivered", 4)

    @pytest.mark.parametrize(
        ("moment", "code"),
        [
            pytest.param("2020-01-01T00:00:00Z", "delivered_before_shipped", id="before it left"),
            pytest.param("2999-01-01T00:00:00Z", "occurred_in_future", id="in the future"),
            pytest.param("yesterday", "invalid_format", id="no moment"),
        ],
    )
    def test_at_no_possible_time_is_refused(
        self, make: Factory, client: FlaskClient, sent: tuple[Placed, Shipment], *, moment: str, code: str
    ) -> None:
        order, shipment = sent
        url = f"{of(order)}/{shipment.id}/deliver"

        response = client.post(url, json={"delivered_at": moment}, headers=make.headers())

        assert_problem(response, 422, code, "delivered_at")


class TestThePackingSlip:
    def test_shows_what_is_in_the_parcel_and_no_prices(
        self, make: Factory, client: FlaskClient, here: Location
    ) -> None:
        item = make.item(stock=9, at=here, name="Regency cakestand", unit_price=Decimal("123.45"))
        address = {"name": "Ada Lovelace", "line1": "12 High Street", "city": "Leeds", "country": "GB"}
        order = make.order((item, 7), shipping_address=address, reference="WEB-7")
        shipment = make.shipment(order, carrier="Royal Mail", tracking_number="RM1")

        response = client.get(f"{of(order)}/{shipment.id}/packing-slip", headers=make.headers(role="clerk"))

        assert (response.status_code, response.mimetype) == (200, "text/html")
        assert response.headers["Content-Disposition"] == "inline"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
        shown = (shipment.number, "SO-", "WEB-7", item.sku, item.name, "<td>7</td>", here.code, "Royal Mail", "RM1")
        assert [text for text in (*shown, *address.values()) if text not in response.text] == []
        assert str(shipment.shipped_at.date()) in response.text
        assert "123.45" not in response.text
        assert "864.15" not in response.text

    def test_runs_nothing_that_somebody_has_written(self, make: Factory, client: FlaskClient, here: Location) -> None:
        item = make.item(stock=9, at=here, name=HOSTILE)
        names = ("name", "company", "line1", "line2", "city", "region", "postal_code")
        order = make.order((item, 1), shipping_address=dict.fromkeys(names, HOSTILE), reference=HOSTILE, note=HOSTILE)
        shipment = make.shipment(order, carrier=HOSTILE, tracking_number=HOSTILE)

        response = client.get(f"{of(order)}/{shipment.id}/packing-slip", headers=make.headers(role="clerk"))

        assert "<script" not in response.text
        assert response.text.count(ESCAPED) == len((*names, "item", "reference", "note", "carrier", "tracking"))

    def test_is_a_page_in_the_api_s_description(self, client: FlaskClient) -> None:
        paths = client.get("/openapi.json").get_json()["paths"]

        described = paths["/api/v1/orders/{order_id}/shipments/{shipment_id}/packing-slip"]["get"]

        assert list(described["responses"]["200"]["content"]) == ["text/html"]


def test_the_pick_list_goes_from_place_to_place(make: Factory, client: FlaskClient) -> None:
    first, second = make.location(priority=1, name="Front"), make.location(priority=2, name="Back")
    item, postage = make.item(stock=5, at=first), make.item(is_stocked=False)
    make.receive(item, 3, at=second)
    scarce = make.item(stock=2, at=second, backorders="allow")
    order = make.order((item, 8), (postage, 1), (scarce, 6))

    answer = client.get(f"/api/v1/orders/{order.id}/pick-list", headers=make.headers(role="clerk")).get_json()

    def picked(line_no: int, thing: Item, quantity: int) -> dict[str, Any]:
        named = {"item_id": str(thing.id), "sku": thing.sku, "name": thing.name}
        return {"line_no": line_no, "quantity": quantity} | named

    def place(location: Location, *lines: dict[str, Any]) -> dict[str, Any]:
        named = {"location_code": location.code, "location_name": location.name}
        return {"location_id": str(location.id), "lines": list(lines)} | named

    assert answer.pop("number").startswith("SO-")
    assert answer == {
        "order_id": str(order.id),
        "status": "placed",
        "locations": [place(first, picked(1, item, 5)), place(second, picked(1, item, 3), picked(3, scarce, 2))],
        "backordered": [picked(3, scarce, 4)],
    }


def test_the_pick_list_of_what_is_shipped_is_empty(
    make: Factory, client: FlaskClient, sent: tuple[Placed, Shipment]
) -> None:
    order, _ = sent

    answer = client.get(f"/api/v1/orders/{order.id}/pick-list", headers=make.headers(role="clerk")).get_json()

    assert (answer["status"], answer["locations"], answer["backordered"]) == ("shipped", [], [])


def test_shipments_are_listed_newest_first_and_filtered(make: Factory, client: FlaskClient, item: Item) -> None:
    order, other = make.order((item, 3)), make.order((item, 1))
    made = [make.shipment(order, (item, 1), tracking_number="RM1"), make.shipment(other), make.shipment(order)]
    one, two, three = (str(shipment.id) for shipment in made)
    headers = make.headers(role="clerk")
    client.post(f"{of(other)}/{two}/deliver", json={}, headers=headers)
    then = made[0].shipped_at.isoformat()

    def listed(url: str = SHIPMENTS, **query: object) -> list[str]:
        return [row["id"] for row in client.get(url, query_string=query, headers=headers).get_json()["data"]]

    assert listed() == [three, two, one]
    assert listed(of(order)) == listed(order_id=order.id) == [three, one]
    assert listed(status="delivered") == [two]
    assert listed(tracking_number="RM1") == [one]
    assert listed(shipped_from=then) == [three, two, one]  # all of one transaction, so of one moment
    assert listed(shipped_before=then) == []
    assert listed(order_id=uuid4()) == []
    assert_problem(client.get(f"{SHIPMENTS}?status=lost", headers=headers), 422, "unknown_choice", "status")


def test_the_list_goes_on_page_by_page(make: Factory, client: FlaskClient, item: Item) -> None:
    order = make.order((item, 5))
    made = [str(make.shipment(order, (item, 1)).id) for _ in range(5)]
    headers = make.headers(role="clerk")

    for url in (SHIPMENTS, of(order)):
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get(f"{url}?limit=2{cursor}", headers=headers).get_json()
            seen += [row["id"] for row in page["data"]]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert seen == made[::-1]


def test_what_is_not_there_is_not_found(make: Factory, client: FlaskClient, item: Item) -> None:
    order, headers = make.order((item, 1)), make.headers()
    nowhere = f"/api/v1/orders/{uuid4()}"

    for url in (f"{nowhere}/shipments", f"{nowhere}/pick-list", f"{nowhere}/shipments/{uuid4()}"):
        assert_problem(client.get(url, headers=headers), 404, "order_not_found", None)
    assert_problem(client.post(f"{nowhere}/shipments", json={}, headers=headers), 404, "order_not_found", None)
    assert_problem(client.get(f"{of(order)}/{uuid4()}", headers=headers), 404, "shipment_not_found", None)


def of(order: Placed) -> str:
    return f"/api/v1/orders/{order.id}/shipments"


@pytest.fixture
def here(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, here: Location) -> Item:
    return make.item(stock=10, at=here)


@pytest.fixture
def sent(make: Factory, item: Item) -> tuple[Placed, Shipment]:
    """An order of four units, and the shipment of all of them."""
    order = make.order((item, 4))
    return order, make.shipment(order, carrier="Royal Mail")
