"""What can go wrong when logging in."""

from api.core.errors import Unauthenticated


class CredentialsInvalid(Unauthenticated):
    """Wrong password, unknown address or disabled account: nobody is told which."""

    code = "credentials_invalid"
    message = "The username or the password is wrong."


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is not one of ours, has ended, or its session has."""

    code = "refresh_token_invalid"
    message = "The refresh token is not valid; log in again."


class RefreshTokenReused(Unauthenticated):
    """A refresh token came a second time, so two parties hold it: the session ends for both."""

    code = "refresh_reused"
    message = "The refresh token was used before, so its session has been ended; log in again."
