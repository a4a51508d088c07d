"""Temporary."""

from api.reservations.models import Reservation  # noqa


def take(session, reservation_id, *, order_id, by):
    raise NotImplementedError
