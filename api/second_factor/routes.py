"""Second factors over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import current_app
from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint
from api.second_factor import service
from api.second_factor.schemas import EnrolmentSchema, OtpSchema, RecoveryCodesSchema, SecondFactorSchema
from api.users import service as users

if TYPE_CHECKING:
    from api.core.vault import Vault

blp = Blueprint(
    "second_factor",
    __name__,
    url_prefix="/auth/second-factor",
    description="Codes of an authenticator, beside the password.",
)


@blp.route("")
class SecondFactor(MethodView):
    """The caller's second factor."""

    @blp.requires("account")
    @blp.response(HTTPStatus.OK, SecondFactorSchema)
    def get(self) -> service.Standing:
        """Show my second factor"""
        return service.standing(db.session(), caller.current().own_id)

    @blp.requires("account", fresh=True)
    @blp.shows_a_secret
    @blp.response(HTTPStatus.CREATED, EnrolmentSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self) -> service.Enrolment:
        """Set up a second factor

        Give the secret to an authenticator, and confirm with its present code; until then logins do not ask for one.
        """
        user = users.get(db.session(), caller.current().own_id)
        return service.begin(db.session(), user.id, label=user.email or user.name, vault=_vault())

    @blp.requires("account", fresh=True)
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def delete(self) -> None:
        """Switch my second factor off"""
        service.switch_off(db.session(), caller.current().own_id, by=caller.current())


@blp.route("/confirm", methods=["POST"])
@blp.requires("account", fresh=True)
@blp.strictly_limited
@blp.arguments(OtpSchema)
@blp.response(HTTPStatus.OK, RecoveryCodesSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def confirm(body: dict[str, str]) -> dict[str, list[str]]:
    """Switch my second factor on

    Takes the authenticator's present code. The answer holds recovery codes, this once; keep them elsewhere than the
    authenticator.
    """
    by = caller.current()
    return {"recovery_codes": service.confirm(db.session(), by.own_id, otp=body["otp"], vault=_vault(), by=by)}


@blp.route("/recovery-codes", methods=["POST"])
@blp.requires("account", fresh=True)
@blp.shows_a_secret
@blp.response(HTTPStatus.OK, RecoveryCodesSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def renew_recovery_codes() -> dict[str, list[str]]:
    """Renew my recovery codes

    Earlier ones are good no more.
    """
    by = caller.current()
    return {"recovery_codes": service.renew_codes(db.session(), by.own_id, by=by)}


def _vault() -> Vault:
    found: Vault = current_app.extensions["vault"]
    return found
