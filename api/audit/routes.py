"""The security log over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.audit import service
from api.audit.schemas import AuditPageSchema, AuditQuerySchema
from api.extensions import db
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from api.core.paging import Listing

blp = Blueprint("audit", __name__, url_prefix="/audit", description="Who did what, when and from where.")


@blp.route("")
class AuditLog(MethodView):
    """The whole log."""

    @blp.requires("audit:read")
    @blp.arguments(AuditQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, AuditPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List security events

        Newest first: logins and refused logins, changes of passwords, roles, keys and second factors, and every denial
        of a known caller. No line is ever changed or removed.
        """
        return service.listing(db.session(), **query)
