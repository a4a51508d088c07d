"""What can go wrong with loading sample data."""

from api.core.errors import Conflict, RuleViolation


class FileUnusable(RuleViolation):
    """The file cannot be read, or is not what is loaded here."""

    code = "demo_file_unusable"
    message = "{path} {reason}"


class AlreadyLoaded(Conflict):
    """Orders with such references exist."""

    code = "demo_already_loaded"
    message = (
        "Orders with invoice numbers of this file exist already ({example}, {count} in all); nothing was loaded. "
        "Load it into an empty installation: one with another --data-dir, started without --demo."
    )


class LoadUnderWay(Conflict):
    """Somebody else is loading."""

    code = "demo_load_under_way"
    message = "Another load is under way; nothing was loaded."


class TooMuchSold(RuleViolation):
    """More units of an item were sold than a stock level can hold."""

    code = "demo_too_much_sold"
    message = "{units} units of {sku} were sold, more than a stock level can hold; nothing was loaded."


class DoesNotAddUp(Conflict):
    """What was loaded is not what the file says, or the ledger does not explain it."""

    code = "demo_does_not_add_up"
    message = "After loading, {count} of the figures did not add up; nothing was loaded. Look with: flask stock audit"
