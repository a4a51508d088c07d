"""What can go wrong with webhooks."""

from api.core.errors import Conflict, Forbidden, NotFound, RuleViolation


class EndpointNotFound(NotFound):
    """No such endpoint."""

    code = "webhook_endpoint_not_found"
    message = "There is no such webhook endpoint."


class DeliveryNotFound(NotFound):
    """No such delivery."""

    code = "webhook_delivery_not_found"
    message = "There is no such delivery to this webhook endpoint; finished ones are kept for 30 days."


class UrlNotAllowed(RuleViolation):
    """A URL that must not be called, by its form or by where it leads."""

    code = "url_not_allowed"
    message = "This URL is not called. {reason}"
    field = "url"


class UrlUnresolvable(RuleViolation):
    """A URL whose host has no address."""

    code = "url_unresolvable"
    message = "This URL is not called. {reason}"
    field = "url"


class EndpointOutOfReach(Forbidden):
    """Whoever could redirect an endpoint, or knew its secret, would see what it gets."""

    code = "webhook_endpoint_out_of_reach"
    message = (
        "This endpoint gets events {name}, which the caller may not see. Ask its owner or an administrator, or add an "
        "endpoint of your own."
    )


class TypeNotForOwner(RuleViolation):
    """An endpoint gets what its owner may see, whoever changes it."""

    code = "event_type_not_for_owner"
    message = (
        "Events {name} would not be sent: this endpoint gets what its owner was allowed to see when adding it. Add an "
        "endpoint of your own for them."
    )
    field = "types"


class RotationUnderWay(Conflict):
    """The secret before the present one is still in use."""

    code = "rotation_under_way"
    message = (
        "The secret was changed less than a day ago, and the one before still signs messages too, until {until}. Wait, "
        "or send keep_previous=false to drop both at once."
    )


class EndpointInactive(Conflict):
    """Nothing is sent to an endpoint that is switched off."""

    code = "webhook_endpoint_inactive"
    message = "The webhook endpoint is switched off; switch it on first: PATCH it with is_active=true."
