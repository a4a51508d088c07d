"""Background jobs over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.jobs import service
from api.jobs.schemas import JobPageSchema, JobSchema
from api.rest import caller
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.jobs.service import Job

blp = Blueprint("jobs", __name__, url_prefix="/jobs", description="Background work that somebody started.")


@blp.route("")
class JobCollection(MethodView):
    """Jobs."""

    @blp.requires("jobs:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, JobPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:  # noqa: ARG002  # the pager has read it
        """List background jobs

        Those you have started, newest first; whoever holds `jobs:all` sees everybody's.
        """
        return service.listing(db.session(), by=caller.current())


@blp.route("/<uuid:job_id>", methods=["GET"])
@blp.requires("jobs:read")
@blp.response(HTTPStatus.OK, JobSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def show_job(job_id: UUID) -> Job:
    """Show a background job

    Ask again until it is `succeeded`, or `failed`; then `reason` says why. It is forgotten some days after its end.
    """
    return service.get(db.session(), job_id, by=caller.current())


@blp.route("/<uuid:job_id>/retry", methods=["POST"])
@blp.requires("jobs:read")
@blp.idempotent
@blp.response(HTTPStatus.ACCEPTED, JobSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def retry_job(job_id: UUID) -> Job:
    """Try a failed job once more

    Only one that has failed: as long as it is waiting or running it tries again by itself.
    """
    return service.retry(db.session(), job_id, by=caller.current())
