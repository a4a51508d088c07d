"""Who is told what, how, and in which words."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.events import service as events
from api.events.catalogue import CATALOGUE
from api.notifications import repository, service, wording
from api.notifications.kinds import KINDS
from api.orders import service as orders
from api.returns import service as returns
from api.stock import service as stock
from tests.factories import GBP
from tests.notifications.telling import kinds, mails, sent, tell, told
from tests.statements import counted

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from api.users.models import User
    from tests.factories import Factory

SYSTEM = Caller.system()


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(code="MAIN")


@pytest.fixture
def cup(make: Factory, place: Location) -> Item:
    """Eight of them, which are few from five on."""
    return make.item(sku="CUP", name="A cup", reorder_point=5, reorder_quantity=24, stock=8, at=place)


def fall(session: Session, item: Item, place: Location, *, by: Caller = SYSTEM, units: int = 4) -> None:
    """Let so many units of an item get lost."""
    lines = [stock.Line(item_id=item.id, quantity=-units)]
    stock.adjust(session, location_id=place.id, lines=lines, reason="correction", by=by)


def prefer(session: Session, user: User, kind: str, **choice: Any) -> None:
    service.choose(session, {kind: choice}, by=Caller(user_id=user.id, role=user.role, scopes=frozenset()))  # type: ignore[dict-item]  # as a test wants it


class TestLowStock:
    def test_is_told_to_managers_and_administrators_and_to_clerks_who_ask_for_it(
        self, make: Factory, session: Session, cup: Item, place: Location
    ) -> None:
        admin, manager, clerk, keen, customer = (
            make.user(role=role) for role in ("admin", "manager", "clerk", "clerk", "customer")
        )
        prefer(session, keen, "low_stock", in_app=True)
        prefer(session, customer, "low_stock", in_app=True, email="each")

        fall(session, cup, place)
        tell(session)

        assert [kinds(session, user) for user in (admin, manager, clerk, keen, customer)] == [
            ["low_stock"],
            ["low_stock"],
            [],
            ["low_stock"],
            [],
        ]
        assert mails(session) == []

    def test_says_what_where_and_how_much_to_order(
        self, make: Factory, session: Session, cup: Item, place: Location
    ) -> None:
        admin = make.user()
        fall(session, cup, place)
        tell(session)

        (one,) = told(session, admin)
        assert one.title == "CUP runs low at MAIN"
        assert one.text == "A cup: 4 available, reorder point 5. Suggested order: 24."
        assert (one.subject_type, one.subject_id) == ("item", cup.id)
        assert one.data == {
            "item_id": str(cup.id),
            "location_id": str(place.id),
            "sku": "CUP",
            "name": "A cup",
            "location": "MAIN",
            "available": 4,
            "reorder_point": 5,
        }
        assert (one.in_app, one.in_digest, one.read_at) == (True, True, None)

    def test_is_one_mail_about_all_that_fell_together_for_those_who_want_each(
        self, make: Factory, session: Session, cup: Item, place: Location
    ) -> None:
        admin = make.user(email="boss@example.com")
        pot = make.item(sku="POT", name="A <pot>", reorder_point=2, stock=8, at=place)
        prefer(session, admin, "low_stock", email="each")

        make.order((cup, 4), (pot, 6))
        make.order((cup, 1))
        tell(session)

        (mail,) = mails(session)
        assert (mail["template"], mail["to"]) == ("low_stock", "boss@example.com")
        assert [(level["sku"], level["available"], level["suggested"]) for level in mail["levels"]] == [
            ("CUP", 4, 24),
            ("POT", 2, 1),
        ]
        assert {one.in_digest for one in told(session, admin)} == {False}

    def test_is_not_told_in_the_app_to_whoever_made_it_so(
        self, make: Factory, session: Session, cup: Item, place: Location
    ) -> None:
        mine, theirs = make.user(), make.user()

        fall(session, cup, place, by=make.caller(user=mine))
        tell(session)

        assert (kinds(session, mine), kinds(session, theirs)) == ([], ["low_stock"])
        assert [one.in_digest for one in told(session, mine)] == [True]

    @pytest.mark.parametrize(
        ("available", "reorder_point", "reorder_quantity", "suggested"),
        [(5, 5, None, 1), (0, 5, None, 6), (4, 5, 24, 24), (0, 50, 24, 72), (5, 5, 1, 1), (0, 47, 24, 48)],
    )
    def test_suggests_what_is_usually_ordered_as_often_as_it_takes(
        self, available: int, reorder_point: int, reorder_quantity: int | None, suggested: int
    ) -> None:
        assert wording.suggestion(available, reorder_point, reorder_quantity) == suggested


class TestAnOrder:
    @pytest.fixture
    def customer(self, make: Factory) -> User:
        return make.user(role="customer", email="ada@example.com")

    @pytest.fixture
    def by(self, make: Factory, customer: User) -> Caller:
        return make.caller(role="customer", user=customer)

    def test_that_one_has_placed_oneself_is_mailed_and_no_news_in_the_app(
        self, make: Factory, session: Session, cup: Item, customer: User, by: Caller
    ) -> None:
        order = make.order((cup, 2), by=by)
        tell(session)

        (mail,) = mails(session)
        assert told(session, customer) == []
        assert mail == {
            "template": "order_placed",
            "to": "ada@example.com",
            "is_guest": False,
            "kind": "order_placed",
            "title": f"Order {order.number} has come in",
            "text": "2 units, 5.00 GBP in all.",
            "number": order.number,
            "units": 2,
            "total": "5.00",
            "currency": "GBP",
            "lines": [{"quantity": 2, "sku": "CUP", "name": "A cup"}],
            "more": 0,
        }

    def test_that_staff_has_placed_for_a_customer_is_news(
        self, make: Factory, session: Session, cup: Item, customer: User
    ) -> None:
        order = make.order((cup, 1), customer_id=customer.id, email="elsewhere@example.com")
        tell(session)

        (one,) = told(session, customer)
        assert (one.title, one.text) == (f"Order {order.number} has come in", "1 unit, 2.50 GBP in all.")
        assert (one.kind, one.subject_type, one.subject_id) == ("order_placed", "order", order.id)
        assert one.data == {"number": order.number, "units": 1, "total": "2.50", "currency": "GBP"}
        assert sent(session) == [("order_placed", "ada@example.com")]

    def test_is_told_from_parcel_to_return(
        self, make: Factory, session: Session, cup: Item, place: Location, customer: User, by: Caller
    ) -> None:
        order = make.order((cup, 3), by=by)
        make.shipment(order, carrier="Royal Mail", tracking_number="RM1")
        return_ = make.return_(order)
        lines = [returns.ReceivedLine(line_no=1, quantity=2, condition="resellable")]
        returns.receive(
            session, order.id, return_.id, lines=lines, refund_amount=Decimal("5.00"), by=make.by, location_id=place.id
        )
        tell(session)

        shipped, received = told(session, customer)
        assert (shipped.kind, shipped.title) == ("order_shipped", f"Order {order.number} is on its way")
        assert shipped.text == "3 units left with Royal Mail. Tracking number: RM1."
        assert (shipped.data["carrier"], shipped.data["tracking_number"]) == ("Royal Mail", "RM1")
        assert (received.kind, received.title) == (
            "return_received",
            f"Your return for order {order.number} has arrived",
        )
        assert received.text == "2 units came back. You are granted 5.00 GBP."
        assert [mail["template"] for mail in mails(session)] == ["order_placed", "order_shipped", "return_received"]

    def test_that_leaves_from_two_places_lists_each_line_once(
        self, make: Factory, session: Session, place: Location, customer: User
    ) -> None:
        vase = make.item(sku="VASE", name="A vase", stock=2, at=place)
        make.receive(vase, 2, at=make.location())
        make.shipment(make.order((vase, 4), customer_id=customer.id))
        tell(session)

        shipped = mails(session)[-1]
        assert (shipped["template"], shipped["units"]) == ("order_shipped", 4)
        assert shipped["lines"] == [{"quantity": 4, "sku": "VASE", "name": "A vase"}]

    def test_that_staff_cancels_is_news_and_one_that_the_customer_cancels_is_not(
        self, make: Factory, session: Session, cup: Item, customer: User, by: Caller
    ) -> None:
        mine, theirs = make.order((cup, 1), by=by), make.order((cup, 1), by=by)
        orders.cancel(session, mine.id, currency=GBP, by=by)
        orders.cancel(session, theirs.id, currency=GBP, reason="Broken.", by=make.by)
        tell(session)

        (one,) = told(session, customer)
        assert (one.kind, one.title) == ("order_cancelled", f"Order {theirs.number} is cancelled")
        assert one.text == "1 unit will not be sent. Reason: Broken."
        assert [mail["template"] for mail in mails(session)].count("order_cancelled") == 2

    def test_that_waited_is_told_when_its_units_are_there(
        self, make: Factory, session: Session, place: Location, customer: User, by: Caller
    ) -> None:
        late = make.item(name="A vase", sku="VASE", backorders="allow")
        other = make.location()
        order = make.order((late, 5), by=by)
        make.receive(late, 2, at=place)
        make.receive(late, 9, at=other)
        tell(session)

        first, second = told(session, customer)
        assert first.title == f"Order {order.number}: what you waited for is there"
        assert (first.text, second.text) == ("2 units can be sent now.", "3 units can be sent now.")
        assert mails(session)[-1]["lines"] == [{"quantity": 3, "sku": "VASE", "name": "A vase"}]

    def test_of_a_guest_is_mailed_to_the_address_that_was_given(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        clerk = make.user(role="clerk")
        order = make.order((cup, 1), email="guest@example.com", by=make.caller(role="clerk", user=clerk))
        make.order((cup, 1))
        make.shipment(order)
        tell(session)

        assert [(mail["template"], mail["to"], mail["is_guest"]) for mail in mails(session)] == [
            ("order_placed", "guest@example.com", True),
            ("order_shipped", "guest@example.com", True),
        ]
        assert told(session, clerk) == []

    def test_of_a_customer_without_an_address_is_mailed_to_that_of_the_order(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        nameless = make.user(role="customer", email=None)
        make.order((cup, 1), customer_id=nameless.id, email="here@example.com")
        make.order((cup, 1), customer_id=nameless.id)
        tell(session)

        assert sent(session) == [("order_placed", "here@example.com")]
        assert kinds(session, nameless) == ["order_placed"] * 2

    def test_lists_twenty_lines_and_counts_the_rest(self, make: Factory, session: Session, customer: User) -> None:
        place = make.location()
        wanted = [(make.item(sku=f"S{number}", stock=2, at=place), 2) for number in range(23)]
        make.order(*wanted, customer_id=customer.id)
        tell(session)

        (mail,) = mails(session)
        assert [line["sku"] for line in mail["lines"]] == [f"S{number}" for number in range(20)]
        assert (mail["more"], mail["units"]) == (3, 46)

    def test_is_told_as_the_customer_wants(
        self, make: Factory, session: Session, cup: Item, customer: User, by: Caller
    ) -> None:
        prefer(session, customer, "order_placed", in_app=False)
        prefer(session, customer, "order_shipped", email="none")
        prefer(session, customer, "order_cancelled", in_app=False, email="daily")
        shipped = make.order((cup, 1), customer_id=customer.id)
        make.shipment(shipped)
        orders.cancel(session, make.order((cup, 1), by=by).id, currency=GBP, by=make.by)
        tell(session)

        assert [(one.kind, one.in_app, one.in_digest) for one in told(session, customer)] == [
            ("order_shipped", True, False),
            ("order_cancelled", False, True),
        ]
        assert {mail["template"] for mail in mails(session)} == {"order_placed"}


class TestAWebhookThatIsSwitchedOff:
    def test_is_told_to_managers_up_and_to_whoever_made_it(self, make: Factory, session: Session) -> None:
        admin, clerk, creator = make.user(), make.user(role="clerk"), make.user(role="clerk", email="eve@example.com")
        data = {
            "host": "hooks.example.com",
            "reason": "failing",
            "created_by": str(creator.id),
        }
        events.record(session, "webhook_endpoint.disabled", uuid4(), data, by=SYSTEM)
        tell(session)

        assert [kinds(session, user) for user in (admin, creator, clerk)] == [
            ["webhook_disabled"],
            ["webhook_disabled"],
            [],
        ]
        assert sent(session) == sorted([("webhook_disabled", admin.email), ("webhook_disabled", "eve@example.com")])
        (one,) = told(session, admin)
        assert one.title == "The webhook endpoint at hooks.example.com is switched off"
        assert "secret" not in str([one.title, one.text, one.data, mails(session)]), "an address can be a password"
        assert "hush" not in str([one.text, one.data, mails(session)])

    def test_of_a_command_is_told_to_managers(self, make: Factory, session: Session) -> None:
        manager = make.user(role="manager")
        data = {"host": "hooks.example.com", "reason": "gone", "created_by": None}
        events.record(session, "webhook_endpoint.disabled", uuid4(), data, by=SYSTEM)
        tell(session)

        (one,) = told(session, manager)
        assert "has answered that it is gone for good (410)" in one.text


def test_an_event_that_cannot_be_told_silences_no_other(
    make: Factory, session: Session, cup: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = make.user(role="customer")
    make.order((cup, 1), customer_id=customer.id)
    odd = make.order((cup, 1), customer_id=customer.id)
    make.order((cup, 1), customer_id=customer.id)
    write = wording.write

    def stumble(event: events.Event, known: wording.Known) -> wording.News | None:
        if event.subject_id == odd.id:
            raise KeyError
        return write(event, known)

    monkeypatch.setattr(wording, "write", stumble)
    tell(session)

    assert kinds(session, customer) == ["order_placed", "order_placed"]
    assert odd.id not in {one.subject_id for one in told(session, customer)}
    assert len(sent(session)) == 2


def test_news_that_come_together_reach_only_those_they_are_for(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    customer, clerk, nameless = make.user(role="customer"), make.user(role="clerk"), make.user(email=None)
    for user in (customer, clerk):
        prefer(session, user, "low_stock", in_app=True)
    make.order((cup, 1), customer_id=customer.id)
    fall(session, cup, place)
    data = {"host": "hooks.example.com", "reason": "gone", "created_by": None}
    events.record(session, "webhook_endpoint.disabled", uuid4(), data, by=SYSTEM)
    tell(session)

    assert kinds(session, customer) == ["order_placed"]
    assert kinds(session, clerk) == ["low_stock"]
    assert kinds(session, nameless) == ["low_stock", "webhook_disabled"]
    assert sent(session) == [("order_placed", customer.email)]
    assert not any(one.in_digest for one in told(session, nameless)), "there is nowhere to send it"


def test_whose_account_is_closed_is_told_nothing(make: Factory, session: Session, cup: Item, place: Location) -> None:
    admin, customer = make.user(), make.user(role="customer")
    make.order((cup, 1), customer_id=customer.id, email="still@example.com")
    fall(session, cup, place)
    for user in (admin, customer):
        user.is_active = False
    tell(session)

    assert (told(session, admin), told(session, customer), mails(session)) == ([], [], [])


def test_what_is_told_once_is_not_told_again(make: Factory, session: Session, cup: Item, place: Location) -> None:
    admin = make.user()
    fall(session, cup, place)
    tell(session)
    tell(session)
    assert kinds(session, admin) == ["low_stock"]

    session.execute(text("UPDATE event_consumers SET position = 0 WHERE name = 'notifications'"))
    tell(session)
    assert kinds(session, admin) == ["low_stock"]


def test_events_of_other_types_are_passed_over(make: Factory, session: Session) -> None:
    admin = make.user()
    make.item()
    session.commit()

    assert not service.notify(session, currency=GBP)
    assert told(session, admin) == []


def test_there_may_be_more_when_as_many_came_as_were_asked_for(
    make: Factory, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_A_TIME", 2)
    session.execute(text("UPDATE event_consumers SET position = (SELECT last FROM event_feed)"))
    make.item(), make.item(), make.item()
    session.commit()

    answers = []
    for _ in range(2):
        answers.append(service.notify(session, currency=GBP))
        session.commit()
    assert answers == [True, False]


def test_many_events_take_no_more_statements_than_one(make: Factory, session: Session) -> None:
    customer, place = make.user(role="customer"), make.location()
    prefer(session, customer, "order_placed", email="daily")
    make.user()
    found = []
    for number in (1, 5):
        for _ in range(number):
            make.order((make.item(stock=9, at=place, reorder_point=5), 6), customer_id=customer.id)
        session.commit()
        with counted() as statements:
            service.notify(session, currency=GBP)
        session.commit()
        found.append(len(statements))

    assert found[0] == found[1]


def test_rows_are_written_with_one_statement_in_the_order_of_events(make: Factory, session: Session) -> None:
    user = make.user()
    row = {
        "user_id": user.id,
        "kind": "low_stock",
        "title": "T",
        "text": "t",
        "subject_type": "item",
        "subject_id": uuid4(),
        "data": {},
        "in_app": True,
        "in_digest": False,
    }
    rows = [row | {"event_id": uuid4(), "title": str(number)} for number in range(20)]

    with counted() as statements:
        repository.add_all(session, rows)

    assert len(statements) == 1
    assert [one.title for one in told(session, user)] == [str(number) for number in range(20)]


def test_loading_the_past_tells_nobody(make: Factory, session: Session, place: Location) -> None:
    """Orders of the past are written without events, so there is nothing to tell."""
    admin, customer = make.user(), make.user(role="customer")
    item = make.item(stock=9, at=place)
    line = orders.Line(1, item.id, item.sku, item.name, 2, item.unit_price, item.is_stocked)
    order = orders.assemble([line], currency=GBP, customer_id=customer.id)
    orders.import_placed(session, [order], by=replace(SYSTEM), location_id=place.id)
    gone = orders.Cancellation(order.id, 1, 2, order.placed_at)  # type: ignore[arg-type]  # filled in by then
    orders.import_cancelled(session, [gone], currency=GBP, by=SYSTEM)
    tell(session)

    assert (told(session, admin), told(session, customer), mails(session)) == ([], [], [])


def test_every_kind_tells_of_an_event_there_is() -> None:
    assert {kind.event for kind in KINDS.values()} <= set(CATALOGUE)
    assert len({kind.event for kind in KINDS.values()}) == len(KINDS)
