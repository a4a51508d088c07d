"""Reservations over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api.reservations import service as reservations
from tests.reservations.clock import end, grow_old
from tests.rest.envelope import assert_problem
from tests.statements import counted
from tests.stock.reading import Level, level, many_items

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

RESERVATIONS = "/api/v1/reservations"


class TestReserving:
    def test_answers_with_the_whole_reservation_and_where_it_is_found(
        self, make: Factory, client: FlaskClient, item: Item
    ) -> None:
        customer = make.user(role="customer")
        body = {"lines": [{"sku": item.sku.lower(), "quantity": 4}], "reference": "CART-7", "note": "Two\nlines"}

        response = client.post(RESERVATIONS, json=body, headers=make.headers(user=customer))

        reservation = response.get_json()
        assert response.status_code == 201
        assert response.headers["ETag"] == '"1"'
        assert response.headers["Location"].endswith(f"{RESERVATIONS}/{reservation['id']}")
        assert reservation | {"id": "", "expires_at": "", "created_at": "", "updated_at": ""} == {
            "id": "",
            "status": "held",
            "customer_id": str(customer.id),
            "reference": "CART-7",
            "note": "Two\nlines",
            "expires_at": "",
            "ended_at": None,
            "order_id": None,
            "version": 1,
            "created_at": "",
            "updated_at": "",
            "lines": [{"line_no": 1, "item_id": str(item.id), "sku": item.sku, "name": item.name, "quantity": 4}],
        }

    def test_tells_staff_who_made_it(self, make: Factory, client: FlaskClient, item: Item) -> None:
        clerk, customer = make.user(role="clerk"), make.user(role="customer")

        response = client.post(
            RESERVATIONS, json=document(item, customer_id=str(customer.id)), headers=make.headers(user=clerk)
        )

        assert (response.get_json()["created_by"], response.get_json()["customer_id"]) == (
            str(clerk.id),
            str(customer.id),
        )

    def test_happens_once_however_often_it_is_sent(
        self, make: Factory, client: FlaskClient, session: Session, item: Item, place: Location
    ) -> None:
        headers = make.headers(role="customer") | {"Idempotency-Key": "cart-7"}

        first, second = (client.post(RESERVATIONS, json=document(item), headers=headers) for _ in range(2))

        assert first.get_json() == second.get_json()
        assert second.headers["Idempotency-Replayed"] == "true"
        assert level(session, item, place) == Level(10, 1)

    def test_of_a_thousand_lines_takes_few_statements(
        self, make: Factory, client: FlaskClient, session: Session, place: Location
    ) -> None:
        lines = [{"item_id": str(item_id), "quantity": 2} for item_id in many_items(session, 1000)]
        headers = make.headers()
        client.post("/api/v1/stock/receipts", json={"location_id": str(place.id), "lines": lines}, headers=headers)

        with counted() as few:
            small = client.post(RESERVATIONS, json={"lines": lines[:1]}, headers=headers)
        with counted() as many:
            large = client.post(RESERVATIONS, json={"lines": lines[1:]}, headers=headers)
        with counted() as releasing:
            done = client.post(f"{RESERVATIONS}/{large.get_json()['id']}/release", json={}, headers=headers)

        assert (small.status_code, large.status_code, done.status_code) == (201, 201, 200)
        assert [line["line_no"] for line in large.get_json()["lines"]] == list(range(1, 1000))
        assert len(many) <= len(few) + 2  # what is kept is copied in
        assert len(releasing) <= 22

    @pytest.mark.parametrize(
        ("change", "code", "field"),
        [
            pytest.param({"lines": []}, "wrong_length", "lines", id="no lines"),
            pytest.param({"ttl_seconds": 0}, "out_of_range", "ttl_seconds", id="no time"),
            pytest.param({"ttl_seconds": 2_592_001}, "out_of_range", "ttl_seconds", id="more than thirty days"),
            pytest.param({"ttl_seconds": "900"}, "invalid_type", "ttl_seconds", id="text"),
            pytest.param({"ttl_seconds": None}, "null_not_allowed", "ttl_seconds", id="null"),
            pytest.param({"speed": 1}, "unknown_field", "speed", id="an unknown field"),
            pytest.param({"location_id": str(uuid4())}, "location_not_found", "location_id", id="nowhere"),
            pytest.param({"customer_id": str(uuid4())}, "customer_not_found", "customer_id", id="nobody"),
        ],
    )
    def test_refuses_what_makes_no_sense(  # a table of three columns
        self, make: Factory, client: FlaskClient, item: Item, *, change: dict[str, Any], code: str, field: str
    ) -> None:
        response = client.post(RESERVATIONS, json=document(item) | change, headers=make.headers())

        assert_problem(response, 422, code, field)

    def test_refuses_items_named_twice_and_those_that_lie_nowhere(
        self, make: Factory, client: FlaskClient, item: Item
    ) -> None:
        service, headers = make.item(is_stocked=False), make.headers()

        def post(*skus: str) -> Any:
            return client.post(
                RESERVATIONS, json={"lines": [{"sku": sku, "quantity": 1} for sku in skus]}, headers=headers
            )

        assert_problem(post(item.sku, item.sku), 422, "repeated_item", "lines.1.sku")
        assert_problem(post(item.sku, service.sku), 422, "item_not_stocked", "lines.1.sku")
        assert_problem(post("no-such"), 422, "item_not_found", "lines.0.sku")

    def test_names_every_shortage(self, make: Factory, client: FlaskClient, item: Item) -> None:
        response = client.post(RESERVATIONS, json=document(item, quantity=11), headers=make.headers())

        (problem,) = assert_problem(response, 409, "insufficient_stock", "lines.0.quantity")
        assert (problem["sku"], problem["requested"], problem["available"]) == (item.sku, 11, 10)

    def test_for_somebody_else_is_for_staff(self, make: Factory, client: FlaskClient, item: Item) -> None:
        user = make.user(role="customer")

        response = client.post(
            RESERVATIONS, json=document(item, customer_id=str(user.id)), headers=make.headers(user=user)
        )

        assert_problem(response, 403, "field_not_allowed", "customer_id")

    def test_of_more_than_a_customer_may_keep_tells_the_numbers(
        self, make: Factory, client: FlaskClient, place: Location
    ) -> None:
        plenty = make.item(stock=1100, at=place)
        user = make.user(role="customer")
        customer = make.headers(user=user)
        client.post(RESERVATIONS, json=document(plenty, quantity=600), headers=customer)

        refused = client.post(RESERVATIONS, json=document(plenty, quantity=401), headers=customer)
        for_them = client.post(
            RESERVATIONS, json=document(plenty, quantity=401, customer_id=str(user.id)), headers=make.headers()
        )

        (problem,) = assert_problem(refused, 409, "reservation_limit_reached", None)
        numbers = {name: problem[name] for name in ("limit", "held", "requested", "allowed")}
        assert numbers == {"limit": "units", "held": 600, "requested": 401, "allowed": 1000}
        assert for_them.status_code == 201


class TestWhatBecomesOfIt:
    def test_is_told_step_by_step_under_a_new_tag(
        self, make: Factory, client: FlaskClient, session: Session, item: Item, place: Location
    ) -> None:
        headers = make.headers(role="customer")
        made = client.post(RESERVATIONS, json=document(item), headers=headers)
        url = f"{RESERVATIONS}/{made.get_json()['id']}"

        extended = client.post(f"{url}/extend", json={"ttl_seconds": 1800}, headers=headers)
        assert client.get(url, headers=headers).get_json() == extended.get_json()
        released = client.post(f"{url}/release", json={}, headers=headers)

        assert [answer.headers["ETag"] for answer in (made, extended, released)] == ['"1"', '"2"', '"3"']
        assert extended.get_json()["expires_at"] > made.get_json()["expires_at"]
        assert released.get_json()["status"] == "released"
        assert released.get_json()["ended_at"] is not None
        assert level(session, item, place) == Level(10, 0)
        assert client.get(url, headers=headers).get_json() == released.get_json()
        assert client.get(url, headers=headers | {"If-None-Match": '"3"'}).status_code == 304

    def test_lapses_by_the_clock_under_a_new_tag(
        self, make: Factory, client: FlaskClient, session: Session, item: Item
    ) -> None:
        headers, reservation = make.headers(role="clerk"), make.reservation((item, 4))
        url = f"{RESERVATIONS}/{reservation.id}"
        tag = client.get(url, headers=headers).headers["ETag"]

        end(session, reservation.id)
        response = client.get(url, headers=headers | {"If-None-Match": tag})

        assert response.status_code == 200
        assert response.get_json()["status"] == "lapsed"
        assert response.get_json()["ended_at"] == response.get_json()["expires_at"]
        available = client.get(f"/api/v1/items/{item.id}/availability", headers=headers).get_json()
        assert (available["reserved"], available["available"]) == (0, 10)
        (shown,) = client.get(f"/api/v1/stock/levels?item_id={item.id}", headers=headers).get_json()["data"]
        assert (shown["reserved"], shown["available"]) == (0, 10)
        assert client.get("/api/v1/stock/verify", headers=headers).get_json() == {"agrees": True, "differences": []}

    def test_is_refused_once_it_has_ended(
        self, make: Factory, client: FlaskClient, session: Session, item: Item
    ) -> None:
        headers = make.headers(role="clerk")
        over, released = make.reservation((item, 1)), make.reservation((item, 1))
        end(session, over.id)
        client.post(f"{RESERVATIONS}/{released.id}/release", json={}, headers=headers)

        for reservation in (over, released):
            url = f"{RESERVATIONS}/{reservation.id}"
            requests: dict[str, dict[str, Any]] = {
                f"{url}/extend": {"ttl_seconds": 1800},
                f"{url}/release": {},
                "/api/v1/orders": {"reservation_id": str(reservation.id)},
            }
            for path, body in requests.items():
                assert_problem(client.post(path, json=body, headers=headers), 409, "reservation_ended", None)

    def test_may_be_an_order(self, make: Factory, client: FlaskClient, item: Item) -> None:
        headers = make.headers(role="customer")
        made = client.post(RESERVATIONS, json=document(item, quantity=4), headers=headers).get_json()

        order = client.post("/api/v1/orders", json={"reservation_id": made["id"]}, headers=headers)

        assert order.status_code == 201
        ended = client.get(f"{RESERVATIONS}/{made['id']}", headers=headers).get_json()
        assert (ended["status"], ended["order_id"]) == ("ordered", order.get_json()["id"])

    def test_is_refused_outside_its_time(
        self, make: Factory, client: FlaskClient, session: Session, item: Item
    ) -> None:
        reservation, headers = make.reservation((item, 1), ttl_seconds=900), make.headers()
        url = f"{RESERVATIONS}/{reservation.id}/extend"
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "required"),
            ({"ttl_seconds": 0}, "out_of_range"),
            ({"ttl_seconds": 600}, "expiry_too_early"),
            ({"ttl_seconds": 30 * 86_400}, "reservation_too_long"),
        ]
        grow_old(session, reservation.id, seconds=3600)

        for body, code in cases:
            assert_problem(client.post(url, json=body, headers=headers), 422, code, "ttl_seconds")

    def test_is_nobody_elses_business(self, make: Factory, client: FlaskClient, item: Item) -> None:
        headers = make.headers(role="customer")
        theirs = make.reservation((item, 1), by=make.caller(role="customer"))

        for reservation_id in (theirs.id, uuid4()):
            url = f"{RESERVATIONS}/{reservation_id}"
            answers = [
                client.get(url, headers=headers),
                client.post(f"{url}/extend", json={"ttl_seconds": 1800}, headers=headers),
                client.post(f"{url}/release", json={}, headers=headers),
                client.post("/api/v1/orders", json={"reservation_id": str(reservation_id)}, headers=headers),
            ]
            for answer in answers:
                assert_problem(answer, 404, "reservation_not_found", None)


def test_reservations_are_listed_newest_first_and_filtered(
    make: Factory, client: FlaskClient, session: Session, item: Item
) -> None:
    user = make.user(role="customer")
    staff, own = make.headers(role="clerk"), make.headers(user=user)
    kinds = ("held", "released", "ordered", "unwritten", "lapsed")
    made = {kind: make.reservation((item, 1), reference=f"CART-{kind}").id for kind in kinds}
    mine = make.reservation((item, 1), by=make.caller(user=user, role="customer")).id
    client.post(f"{RESERVATIONS}/{made['released']}/release", json={}, headers=staff)
    client.post("/api/v1/orders", json={"reservation_id": str(made["ordered"])}, headers=staff)
    end(session, made["lapsed"])
    reservations.lapse(session, by=make.by)
    end(session, made["unwritten"])

    def listed(headers: dict[str, str] = staff, **query: object) -> list[str]:
        page = client.get(RESERVATIONS, query_string=query, headers=headers).get_json()
        assert page["next_cursor"] is None
        return [row["id"] for row in page["data"]]

    names = {kind: str(one) for kind, one in made.items()}
    assert listed() == [str(mine), *reversed(names.values())]
    assert listed(status="held") == [str(mine), names["held"]]
    assert listed(status="lapsed") == [names["lapsed"], names["unwritten"]]
    assert listed(status="released") == [names["released"]]
    assert listed(status="ordered") == [names["ordered"]]
    assert listed(reference="CART-held") == [names["held"]]
    assert listed(customer_id=user.id) == [str(mine)]
    assert listed(own) == listed(own, customer_id=user.id) == [str(mine)]
    assert listed(own, reference="CART-held") == listed(own, customer_id=uuid4()) == []
    assert_problem(client.get(f"{RESERVATIONS}?status=over", headers=own), 422, "unknown_choice", "status")
    rows = client.get(f"{RESERVATIONS}?status=lapsed", headers=staff).get_json()["data"]
    assert {(row["status"], row["ended_at"] == row["expires_at"], "lines" in row) for row in rows} == {
        ("lapsed", True, False)
    }


def test_the_list_goes_on_page_by_page(make: Factory, client: FlaskClient, item: Item) -> None:
    made = [str(make.reservation((item, 1), reference="CART-7").id) for _ in range(5)]
    headers, seen, cursor = make.headers(), [], ""
    while cursor is not None:
        page = client.get(f"{RESERVATIONS}?limit=2&reference=CART-7{cursor}", headers=headers).get_json()
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"

    assert seen == made[::-1]


def document(item: Item, *, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"lines": [{"item_id": str(item.id), "quantity": quantity}], **more}


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place)
