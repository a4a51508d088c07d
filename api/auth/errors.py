"""What can go wrong when logging in."""

from api.core.errors import Busy, Forbidden, NotFound, Unauthenticated


class CredentialsInvalid(Unauthenticated):
    """Wrong password, unknown address or disabled account: nobody is told which."""

    code = "credentials_invalid"
    message = "The username or the password is wrong."


class PasswordWrong(Forbidden):
    """Whoever confirms a login must know its password."""

    code = "password_wrong"
    message = "The password is another one; if it is forgotten, ask for a new one."
    field = "password"


class OtpRequired(Unauthenticated):
    """The password is right and a second factor protects the account."""

    code = "otp_required"
    message = "This account has a second factor: send the code of the authenticator, or a recovery code, as `otp`."
    field = "otp"


class OtpInvalid(Unauthenticated):
    """The code of the second factor is wrong, or was used before."""

    code = "otp_invalid"
    message = "The code is wrong or was used before; wait for the next one."
    field = "otp"


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is not one of ours, has ended, or its session has."""

    code = "refresh_token_invalid"
    message = "The refresh token is not valid; log in again."


class RefreshTokenReused(Unauthenticated):
    """A refresh token came a second time, so two parties hold it: the session ends for both."""

    code = "refresh_reused"
    message = "The refresh token was used before, so its session has been ended; log in again."


class SessionNotFound(NotFound):
    """No such login is live, or it is somebody else's."""

    code = "session_not_found"
    message = "There is no such login."


class NotALogin(Forbidden):
    """What only a login with a password can do was tried with another kind of token."""

    code = "not_a_login"
    message = "This needs a login of this installation; the token comes from elsewhere."


class SigningKeyMissing(Busy):
    """There is no key to sign or verify access tokens with."""

    code = "signing_key_missing"
    message = "This installation has no signing key at the moment; tell whoever runs it: flask keys create."
    retry_after = 10
