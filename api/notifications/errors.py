"""What can go wrong with notifications."""

from api.core.errors import NotFound


class NotificationNotFound(NotFound):
    """No such notification, or somebody else's."""

    code = "notification_not_found"
    message = "There is no such notification of yours."
