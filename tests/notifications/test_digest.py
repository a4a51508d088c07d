"""The mail in the morning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.items import service as items
from api.notifications import repository, service
from api.orders import service as orders
from api.stock import service as stock
from tests.factories import GBP
from tests.notifications.telling import kinds, mails, sent, tell, told
from tests.notifications.test_telling import fall, prefer
from tests.statements import counted

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from api.users.models import User
    from tests.factories import Factory


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(code="MAIN")


@pytest.fixture
def cup(make: Factory, place: Location) -> Item:
    return make.item(sku="CUP", name="A cup", reorder_point=5, reorder_quantity=24, stock=8, at=place)


@pytest.fixture
def boss(make: Factory) -> User:
    return make.user(email="boss@example.com")


def digests(session: Session) -> list[dict[str, Any]]:
    """Send digests, and read the facts of those that are new."""
    before = len(mails(session))
    count = service.send_digests(session)
    session.commit()
    found = mails(session)[before:]
    assert len(found) == count
    assert {mail["template"] for mail in found} <= {"digest"}
    return found


@pytest.mark.usefixtures("boss")
def test_it_tells_what_is_low_now_and_how_much_to_order(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    other = make.location(code="SHOP")
    pot = make.item(sku="POT", name="A pot", reorder_point=2, stock=8, at=other)
    fall(session, cup, place)
    fall(session, pot, other, units=6)
    tell(session)
    fall(session, cup, place, units=1)

    (mail,) = digests(session)
    assert mail["to"] == "boss@example.com"
    assert mail["levels"] == [
        {
            "sku": "CUP",
            "name": "A cup",
            "location": "MAIN",
            "available": 3,
            "reorder_point": 5,
            "reorder_quantity": 24,
            "suggested": 24,
        },
        {
            "sku": "POT",
            "name": "A pot",
            "location": "SHOP",
            "available": 2,
            "reorder_point": 2,
            "reorder_quantity": None,
            "suggested": 1,
        },
    ]
    assert (mail["others"], mail["kinds"], mail["total"], mail["more"]) == ([], ["low_stock"], 2, 0)


@pytest.mark.usefixtures("boss")
def test_what_has_been_replenished_since_is_left_out(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    pot = make.item(sku="POT", reorder_point=2, stock=8, at=place)
    fall(session, cup, place)
    fall(session, pot, place, units=7)
    tell(session)
    make.receive(pot, 20, at=place)

    (mail,) = digests(session)
    assert [level["sku"] for level in mail["levels"]] == ["CUP"]


def test_where_nothing_is_left_to_be_said_there_is_no_mail(
    make: Factory, session: Session, cup: Item, place: Location, boss: User
) -> None:
    assert digests(session) == []
    fall(session, cup, place)
    tell(session)
    make.receive(cup, 20, at=place)

    assert digests(session) == []
    fall(session, cup, place, units=23)
    assert digests(session) == [], "it has not been told yet that it is low again"
    assert [one.in_digest for one in told(session, boss)] == [False]


@pytest.mark.usefixtures("boss")
def test_a_crossing_is_in_one_digest_only(session: Session, cup: Item, place: Location, make: Factory) -> None:
    fall(session, cup, place)
    tell(session)

    assert len(digests(session)) == 1
    fall(session, cup, place, units=1)
    tell(session)
    assert digests(session) == [], "it is as low as before"
    make.receive(cup, 20, at=place)
    fall(session, cup, place, units=20)
    tell(session)
    assert len(digests(session)) == 1


@pytest.mark.usefixtures("boss")
def test_a_level_that_fell_twice_is_one_line(session: Session, cup: Item, place: Location, make: Factory) -> None:
    fall(session, cup, place)
    make.receive(cup, 20, at=place)
    fall(session, cup, place, units=20)
    tell(session)

    (mail,) = digests(session)
    assert len(mail["levels"]) == 1


@pytest.mark.usefixtures("boss")
def test_what_is_sold_no_more_need_not_be_ordered(make: Factory, session: Session, cup: Item, place: Location) -> None:
    fall(session, cup, place)
    tell(session)
    fall(session, cup, place, units=4)
    items.archive(session, cup.id, by=make.by)

    assert digests(session) == []


def test_everybody_gets_their_own(make: Factory, session: Session, cup: Item, place: Location) -> None:
    first, second, third = (make.user(email=f"{name}@example.com") for name in ("a", "b", "c"))
    prefer(session, second, "low_stock", email="none")
    fall(session, cup, place)
    tell(session)

    assert sorted(mail["to"] for mail in digests(session)) == ["a@example.com", "c@example.com"]
    assert {len(kinds(session, user)) for user in (first, second, third)} == {1}


def test_whoever_wants_it_no_more_gets_none(
    make: Factory, session: Session, cup: Item, place: Location, boss: User
) -> None:
    gone, nameless = make.user(), make.user()
    fall(session, cup, place)
    tell(session)
    prefer(session, boss, "low_stock", email="none")
    gone.is_active, nameless.email = False, None

    assert digests(session) == []
    prefer(session, boss, "low_stock", email="daily")
    assert digests(session) == [], "what was for an earlier one is past"


def test_other_kinds_can_wait_for_it_too(make: Factory, session: Session, cup: Item) -> None:
    customer = make.user(role="customer", email="ada@example.com")
    prefer(session, customer, "order_placed", in_app=False, email="daily")
    prefer(session, customer, "order_cancelled", email="daily")
    by = Caller(user_id=customer.id, role="customer", scopes=frozenset({"orders:write"}))
    order = make.order((cup, 1), by=by)
    orders.cancel(session, order.id, currency=GBP, by=make.by)
    tell(session)
    assert sent(session) == []

    (mail,) = digests(session)
    assert [one["title"] for one in mail["others"]] == [
        f"Order {order.number} has come in",
        f"Order {order.number} is cancelled",
    ]
    assert (mail["levels"], mail["kinds"], mail["total"]) == ([], ["order_cancelled", "order_placed"], 2)
    assert kinds(session, customer) == ["order_cancelled"]
    assert len(told(session, customer)) == 1, "what was only for the digest is kept no longer"


@pytest.mark.usefixtures("boss")
def test_it_lists_so_much_and_counts_the_rest(
    make: Factory, session: Session, place: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LISTED", 2)
    for _ in range(5):
        fall(session, make.item(reorder_point=5, stock=8, at=place), place)
    tell(session)

    (mail,) = digests(session)
    assert (len(mail["levels"]), mail["total"], mail["more"]) == (2, 5, 3)


@pytest.mark.usefixtures("boss")
def test_a_hundred_levels_take_no_more_statements_than_one(make: Factory, session: Session, place: Location) -> None:
    found = []
    for number in (1, 20):
        for _ in range(number):
            fall(session, make.item(reorder_point=5, stock=8, at=place), place)
        tell(session)
        with counted() as statements:
            service.send_digests(session)
        session.commit()
        found.append(len(statements))

    assert found[0] == found[1] <= 8


def test_a_digest_that_fails_is_made_again(
    session: Session, cup: Item, place: Location, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    fall(session, cup, place)
    tell(session)

    def fail(*_: object) -> None:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(repository, "note_mailed", fail)
        with pytest.raises(LookupError):
            service.send_digests(session)
        session.rollback()
    assert sent(session) == []
    assert [one.in_digest for one in told(session, boss)] == [True]

    assert len(digests(session)) == 1


def test_the_old_is_forgotten_and_what_nobody_has_read_is_kept_for_longer(make: Factory, session: Session) -> None:
    user = make.user()
    ages = {"read young": (89, True), "read old": (91, True), "unread": (399, False), "ancient": (401, False)}
    for title, (days, is_read) in ages.items():
        one = make.notification(user.id, title=title)
        set_age = "UPDATE notifications SET created_at = now() - make_interval(days => :days) WHERE id = :id"
        session.execute(text(set_age), {"days": days, "id": one.id})
        if is_read:
            session.execute(text("UPDATE notifications SET read_at = now() WHERE id = :id"), {"id": one.id})

    service.purge(session)

    assert [one.title for one in told(session, user)] == ["read young", "unread"]


def test_levels_that_are_low_are_found_among_others(
    make: Factory, session: Session, cup: Item, place: Location
) -> None:
    plenty = make.item(reorder_point=5, stock=8, at=place)
    fall(session, cup, place)

    assert [row.sku for row in stock.low_among(session, [(cup.id, place.id), (plenty.id, place.id)])] == ["CUP"]
    assert stock.low_among(session, []) == []
