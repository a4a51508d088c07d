"""What can go wrong when accounts are opened and looked after."""

from api.core.errors import Conflict, Forbidden, Malformed


class SignUpClosed(Forbidden):
    """This installation does not let people open accounts in this way."""

    code = "sign_up_closed"
    message = "Accounts are not opened in this way here; ask the people who run this installation."


class AddressTaken(Conflict):
    """Somebody is invited who is here already."""

    code = "email_taken"
    message = "There is an account with this e-mail address already."
    field = "email"


class ConfirmationTokenInvalid(Malformed):
    """The token of a mail is unknown, used or too old."""

    code = "confirmation_token_invalid"
    message = "The token is not valid, or not any more; ask for a new mail."
    field = "token"


class ResetTokenInvalid(Malformed):
    """The token that would set a new password is unknown, used or too old."""

    code = "reset_token_invalid"
    message = "The token is not valid, or not any more; ask for a new password again."
    field = "token"


class PasswordWrong(Forbidden):
    """Whoever changes a password must know the present one."""

    code = "password_wrong"
    message = "The present password is another one; if it is forgotten, ask for a new one."
    field = "current_password"


class NoPassword(Conflict):
    """The account is entered by other means than a password."""

    code = "no_password"
    message = "This account has no password to change; log in the way you usually do."


class NoAddress(Conflict):
    """There is nothing to verify."""

    code = "no_address"
    message = "This account has no e-mail address; give it one first."


class AccountInactive(Conflict):
    """A password would be good for nothing."""

    code = "account_inactive"
    message = "The account is closed; open it again first: flask users activate."
