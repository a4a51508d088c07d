"""What can go wrong with users."""

from api.core.errors import Conflict, Forbidden, NotFound, RuleViolation


class UserNotFound(NotFound):
    """Nobody has this id."""

    code = "user_not_found"
    message = "There is no such user."


class AddressUnknown(NotFound):
    """Nobody has this address; said at the console only, where it betrays nothing."""

    code = "address_unknown"
    message = "There is no account with the address {email}."


class EmailTaken(Conflict):
    """Another account has this address."""

    code = "email_taken"
    message = "There is an account with this e-mail address already."
    field = "email"
    constraint = "uq_users_email"


class PasswordTooWeak(RuleViolation):
    """The password would be guessed."""

    code = "password_too_weak"
    message = "Choose another password: {reason}. Several unrelated words make a good one."
    field = "password"


class RoleNotYours(Forbidden):
    """The caller gives a role, or touches an account, above its own."""

    code = "role_not_yours"
    message = "The role {role} is above the caller's own; ask somebody who has it."
    field = "role"


class OwnAccount(Forbidden):
    """Nobody but an administrator changes what they themselves may do."""

    code = "own_account"
    message = "Only administrators change their own role or close their own account; ask one."


class LastAdmin(Conflict):
    """Without an administrator nobody could ever change roles again."""

    code = "last_admin"
    message = "This is the last active administrator; make another one first."
