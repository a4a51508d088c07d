"""Locations that are taken out of use, and those that are not for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

LOCATIONS, RECEIPTS = "/api/v1/locations", "/api/v1/stock/receipts"


class TestArchiving:
    def test_takes_an_empty_location_out_of_use_and_back(self, make: Factory, client: FlaskClient) -> None:
        place, item, headers = make.location(), make.item(), make.headers(role="manager")
        body = {"location_id": str(place.id), "lines": [{"sku": item.sku, "quantity": 1}]}
        address = f"{LOCATIONS}/{place.id}"

        archived = client.post(f"{address}/archive", headers=headers)
        again = client.post(f"{address}/archive", headers=headers)
        refused = client.post(RECEIPTS, json=body, headers=headers)
        hidden = client.get(LOCATIONS, headers=headers).get_json()["data"]
        shown = client.get(LOCATIONS, query_string={"archived": "true"}, headers=headers).get_json()["data"]
        restored = client.post(f"{address}/restore", headers=headers)
        received = client.post(RECEIPTS, json=body, headers=headers)

        assert (archived.status_code, again.status_code) == (200, 200)
        assert archived.get_json()["archived_at"] == again.get_json()["archived_at"] is not None
        assert again.get_json()["version"] == 2
        assert_problem(refused, 409, "location_archived", field="location_id")
        assert (hidden, [row["id"] for row in shown]) == ([], [str(place.id)])
        assert restored.get_json()["archived_at"] is None
        assert received.status_code == 201

    def test_of_a_location_with_stock_is_refused(self, make: Factory, client: FlaskClient) -> None:
        place = make.location()
        make.item(stock=1, at=place)
        headers = make.headers()

        response = client.post(f"{LOCATIONS}/{place.id}/archive", headers=headers)

        assert_problem(response, 409, "location_not_empty")
        assert client.get(f"{LOCATIONS}/{place.id}", headers=headers).get_json()["archived_at"] is None

    def test_by_many_at_once_is_one_change(self, live_app: Flask) -> None:
        with committed(live_app) as make:
            place, headers = make.location().id, make.headers()
        request = {"path": f"{LOCATIONS}/{place}/archive", "method": "POST", "headers": headers}

        answers = at_once(live_app, *[request] * 5)

        assert [answer.status_code for answer in answers] == [200] * 5
        assert {answer.get_json()["version"] for answer in answers} == {2}

    def test_and_receiving_at_the_same_moment_never_both_succeed(self, live_app: Flask) -> None:
        with committed(live_app) as make:
            places = [make.location().id for _ in range(6)]
            lines, headers = [{"sku": make.item().sku, "quantity": 1}], make.headers()
        post = {"method": "POST", "headers": headers}
        archive = [{"path": f"{LOCATIONS}/{place}/archive", **post} for place in places]
        receive = [{"path": RECEIPTS, "json": {"location_id": str(place), "lines": lines}, **post} for place in places]

        answers = [answer.status_code for answer in at_once(live_app, *archive, *receive)]

        outcomes = set(zip(answers[:6], answers[6:], strict=True))
        assert outcomes <= {(200, 409), (409, 201)}


class TestDeleting:
    def test_removes_what_was_never_used(self, make: Factory, client: FlaskClient) -> None:
        place, headers = make.location(), make.headers()
        address = f"{LOCATIONS}/{place.id}"

        assert client.delete(address, headers=headers).status_code == 428
        assert client.delete(address, headers=headers | {"If-Match": '"7"'}).status_code == 412
        assert client.delete(address, headers=headers | {"If-Match": '"1"'}).status_code == 204
        assert client.get(address, headers=headers).status_code == 404

    def test_of_a_place_the_ledger_names_is_refused(self, make: Factory, client: FlaskClient) -> None:
        place = make.location()
        make.item(stock=1, at=place)

        response = client.delete(f"{LOCATIONS}/{place.id}", headers=make.headers() | {"If-Match": '"1"'})

        assert_problem(response, 409, "location_in_use")


class TestKinds:
    @pytest.mark.parametrize("kind", ["warehouse", "store"])
    def test_that_sell_serve_orders(self, make: Factory, kind: str) -> None:
        item = make.item(stock=1, at=make.location(kind=kind))

        assert make.order((item, 1)).status == "placed"

    def test_that_do_not_sell_keep_their_stock(self, make: Factory, client: FlaskClient, session: Session) -> None:
        item = make.item(stock=5, at=make.location(kind="quarantine"))
        place = make.location(kind="quarantine")
        headers = make.headers()
        body = {"lines": [{"sku": item.sku, "quantity": 1}]}

        anywhere = client.post("/api/v1/orders", json=body, headers=headers)
        there = client.post("/api/v1/orders", json=body | {"location_id": str(place.id)}, headers=headers)
        found = client.get(f"/api/v1/items/{item.id}/availability", headers=headers).get_json()

        assert_problem(anywhere, 409, "insufficient_stock", field="lines.0.quantity")
        assert anywhere.get_json()["error"]["details"][0]["available"] == 0
        assert_problem(there, 422, "location_does_not_sell", field="location_id")
        assert (found["on_hand"], found["available"], found["in_quarantine"], found["in_transit"]) == (0, 0, 5, 0)
        assert found["locations"][0]["on_hand"] == 5
        assert session.is_active

    def test_are_chosen_once_and_the_road_is_not_for_choosing(self, make: Factory, client: FlaskClient) -> None:
        place, headers = make.location(), make.headers()

        made = client.post(LOCATIONS, json={"code": "X", "name": "X", "kind": "transit"}, headers=headers)
        changed = client.patch(f"{LOCATIONS}/{place.id}", json={"kind": "store"}, headers=headers | {"If-Match": '"1"'})

        assert_problem(made, 422, "unknown_choice", field="kind")
        assert_problem(changed, 422, "unknown_field", field="kind")


def test_an_address_is_kept_and_replaced_as_a_whole(make: Factory, client: FlaskClient) -> None:
    headers = make.headers()
    address = {"line1": "1 High Street", "city": "Leeds", "country": "GB"}

    made = client.post(LOCATIONS, json={"code": "LEEDS", "name": "Leeds", "address": address}, headers=headers)
    changed = client.patch(
        made.headers["Location"], json={"address": {"city": "York"}}, headers=headers | {"If-Match": '"1"'}
    )
    cleared = client.patch(made.headers["Location"], json={"address": None}, headers=headers | {"If-Match": '"2"'})

    assert made.get_json()["address"] == address
    assert changed.get_json()["address"] == {"city": "York"}
    assert cleared.get_json()["address"] is None
