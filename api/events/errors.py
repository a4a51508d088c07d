"""What can go wrong with the feed."""

from api.core.errors import Forbidden, Gone, NotFound, RuleViolation


class EventNotFound(NotFound):
    """No such event, or not one that the caller may see."""

    code = "event_not_found"
    message = "There is no such event."


class EventsExpired(Gone):
    """Some of the events asked for are no longer kept."""

    code = "events_expired"
    message = (
        "Events are kept from position {first} on, so some after {after} are gone. Read afresh what you keep a copy "
        "of, then go on with after={before}."
    )
    field = "after"


class PositionUnknown(RuleViolation):
    """The feed does not reach to where a reader says it has been."""

    code = "position_unknown"
    message = (
        "The feed ends at {last}, so you cannot have read up to {after}. Was the installation restored from a backup? "
        "Then read afresh what you keep a copy of, and go on with after={last}."
    )
    field = "after"


class EventTypeUnknown(RuleViolation):
    """There is no event of that type."""

    code = "unknown_choice"
    message = "There is no type of event {name}; GET /api/v1/events/types lists them. A whole kind is named so: order.*"
    field = "types"


class EventTypeForbidden(Forbidden):
    """The caller may not see what events of that type are about."""

    code = "event_type_forbidden"
    message = "Events {name} need {scopes}, which the caller does not have. Leave `types` out to get what you may see."
    field = "types"
