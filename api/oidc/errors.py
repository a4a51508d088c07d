"""What can go wrong with people whom an identity provider vouches for."""

from api.core.errors import Busy, Forbidden


class NoRole(Forbidden):
    """The token is good, and nothing in it gives a role here."""

    code = "no_role"
    message = "The identity provider gives this account no role here; ask whoever runs it for one."


class ProviderUnavailable(Busy):
    """No key of the identity provider is known, and it does not tell any."""

    code = "idp_unavailable"
    message = "The identity provider does not answer, so its tokens cannot be checked. Try again shortly."
    retry_after = 30


class AccountContended(Busy):
    """Others changed the same account again and again while it was being opened or changed."""

    code = "account_contended"
    message = "Too many requests open or change this account at once. Try again shortly."
