"""What can go wrong with users."""

from api.core.errors import Conflict, NotFound


class UserNotFound(NotFound):
    """Nobody has this id."""

    code = "user_not_found"
    message = "There is no such user."


class EmailTaken(Conflict):
    """Another account has this address."""

    code = "email_taken"
    message = "There is an account with this e-mail address already."
    field = "email"
    constraint = "uq_users_email"
