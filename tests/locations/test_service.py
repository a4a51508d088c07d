"""Where stock lies, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from api.core.caller import Caller
from api.locations import service
from api.locations.errors import CodeTaken, LocationUnknown
from api.locations.models import Location

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tests.factories import Factory

SYSTEM = Caller.system()


def test_a_code_is_unique_without_case(session: Session, make: Factory) -> None:
    make.location(code="main")

    with pytest.raises(CodeTaken):
        service.create(session, code="MAIN", name="Other", by=SYSTEM)


def test_a_location_that_a_request_names_must_exist(session: Session, make: Factory) -> None:
    service.ensure(session, make.location().id)

    with pytest.raises(LocationUnknown) as refusal:
        service.ensure(session, uuid4())

    assert refusal.value.problem.field == "location_id"


def test_a_location_is_found_before_it_is_made_again(session: Session, make: Factory) -> None:
    known = make.location(code="main")

    assert service.find_or_create(session, code="MAIN", name="Other", by=SYSTEM) == known
    assert service.find_or_create(session, code="NEW", name="New", by=SYSTEM).name == "New"
    assert session.scalar(select(func.count(Location.id))) == 2
