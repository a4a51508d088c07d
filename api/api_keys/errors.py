"""What can go wrong with API keys."""

from api.core.errors import Conflict, Forbidden, NotFound, RuleViolation

LONGEST_DAYS = 3650
MOST_KEYS = 50


class ApiKeyNotFound(NotFound):
    """There is no such key, or it is somebody else's."""

    code = "api_key_not_found"
    message = "There is no such API key."


class ApiKeyOver(Conflict):
    """The key has been revoked or has expired."""

    code = "api_key_over"
    message = "The key has been revoked or has expired; make a new one."


class ApiKeyReplaced(Conflict):
    """The key has been rotated before."""

    code = "api_key_replaced"
    message = "The key has been rotated before; rotate the one that replaces it."


class TooManyKeys(Conflict):
    """The account has as many keys as it can have."""

    code = "too_many_keys"
    message = f"An account has at most {MOST_KEYS} keys that are still good; revoke one that is not used any more."


class AccountClosed(Conflict):
    """Nobody could use the key."""

    code = "account_closed"
    message = "The account is closed, so a key of it would be good for nothing; open it again first."


class ScopeNotYours(Forbidden):
    """The key would be allowed more than its owner."""

    code = "scope_not_yours"
    message = "Leave {scope} out: a key cannot have a permission that its owner does not have."


class ScopeNotForKeys(RuleViolation):
    """Only people can do this, after logging in."""

    code = "scope_not_for_keys"
    message = "Leave {scope} out: it is for people who log in, and no key can have it."


class ExpiryOutOfRange(RuleViolation):
    """The key would have expired already, or would hardly ever."""

    code = "expiry_out_of_range"
    message = f"Send a moment in the future, at most {LONGEST_DAYS} days away; without one a key does not expire."
    field = "expires_at"
