"""What can go wrong with second factors."""

from api.core.errors import Conflict, RuleViolation


class SecondFactorOn(Conflict):
    """The account has one already."""

    code = "second_factor_on"
    message = "The second factor is on already; switch it off first to set up another authenticator."


class SecondFactorOff(Conflict):
    """The account has none."""

    code = "second_factor_off"
    message = "There is no second factor to do this with; it has to be set up first."


class CodeWrong(RuleViolation):
    """The code does not prove that the authenticator was set up rightly."""

    code = "code_wrong"
    message = "The code is wrong; look at the clock of the device and send the present code."
    field = "otp"
