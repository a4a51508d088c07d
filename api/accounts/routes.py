"""Accounts over HTTP: opening one, passwords, addresses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from api.accounts import edge
from api.accounts.schemas import (
    AccountConfirmationSchema,
    AccountSchema,
    AddressSchema,
    EmailTokenSchema,
    InvitationSchema,
    MessageSchema,
    PasswordChangeSchema,
    PasswordResetSchema,
    SignUpSchema,
)
from api.extensions import db
from api.rest.smorest import Blueprint
from api.users import service as users

blp = Blueprint("accounts", __name__, url_prefix="/auth", description="Opening an account and looking after it.")

MAILED = {"message": "If this address can be used for that, a mail that is on its way there says how to go on."}


@blp.route("/sign-up", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments(SignUpSchema)
@blp.response(HTTPStatus.ACCEPTED, MessageSchema)
@blp.alt_response(HTTPStatus.FORBIDDEN, "FORBIDDEN")
def sign_up(body: dict[str, Any]) -> dict[str, str]:
    """Sign up

    Sends a mail to the address; whoever reads it chooses the password. The answer is the same whether the address has
    an account or not. 403 `sign_up_closed` where strangers cannot open accounts.
    """
    edge.sign_up(**body)
    return MAILED


@blp.route("/invitations", methods=["POST"])
@blp.requires("users:write")
@blp.arguments(InvitationSchema)
@blp.response(HTTPStatus.ACCEPTED, MessageSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def invite(body: dict[str, Any]) -> dict[str, str]:
    """Invite somebody

    Sends a mail to the address; whoever reads it chooses a password and gets the role, which is not above the inviter's
    own, then as now. Earlier invitations to the address are good no more.
    """
    edge.invite(**body)
    return {"message": "The invitation is on its way."}


@blp.route("/confirm", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments(AccountConfirmationSchema)
@blp.response(HTTPStatus.CREATED, AccountSchema)
@blp.alt_response(HTTPStatus.FORBIDDEN, "FORBIDDEN")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def confirm(body: dict[str, Any]) -> object:
    """Open an account

    Takes the token of a sign-up or an invitation, and the password the account is to have.
    """
    return users.get(db.session(), edge.confirm(**body))


@blp.route("/password/forgot", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments(AddressSchema)
@blp.response(HTTPStatus.ACCEPTED, MessageSchema)
def forget_password(body: dict[str, Any]) -> dict[str, str]:
    """Ask for a new password

    Sends a mail to the address if it has an account; the answer is the same if it has none.
    """
    edge.forget_password(**body)
    return MAILED


@blp.route("/password/reset", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments(PasswordResetSchema)
@blp.response(HTTPStatus.NO_CONTENT)
def reset_password(body: dict[str, Any]) -> None:
    """Set a new password

    Takes the token of the mail, good once. Ends all logins of the account; a second factor stays on.
    """
    edge.reset_password(**body)


@blp.route("/password/change", methods=["POST"])
@blp.requires("account")
@blp.strictly_limited
@blp.arguments(PasswordChangeSchema)
@blp.response(HTTPStatus.NO_CONTENT)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def change_password(body: dict[str, Any]) -> None:
    """Change my password

    Ends all my other logins, and voids tokens that were mailed to me before.
    """
    edge.change_password(**body)


@blp.route("/email/change", methods=["POST"])
@blp.requires("account", fresh=True)
@blp.strictly_limited
@blp.arguments(AddressSchema)
@blp.response(HTTPStatus.ACCEPTED, MessageSchema)
def change_email(body: dict[str, Any]) -> dict[str, str]:
    """Change my address

    Sends a mail to the new address, which counts once its token comes back, and a notice to the present one.
    """
    edge.change_email(**body)
    return MAILED


@blp.route("/email/verification", methods=["POST"])
@blp.requires("account")
@blp.strictly_limited
@blp.response(HTTPStatus.ACCEPTED, MessageSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def send_verification() -> dict[str, str]:
    """Have my address verified

    Sends a mail to my present address.
    """
    edge.send_verification()
    return {"message": "A mail is on its way to your address."}


@blp.route("/email/verify", methods=["POST"])
@blp.public
@blp.strictly_limited
@blp.arguments(EmailTokenSchema)
@blp.response(HTTPStatus.NO_CONTENT)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def verify_email(body: dict[str, Any]) -> None:
    """Verify an address

    Takes the token of the mail. A new address is used from now on, and tokens that were mailed before are void.
    """
    edge.verify_email(**body)
