"""What can go wrong with background jobs."""

from api.core.errors import Conflict, NotFound


class JobNotFound(NotFound):
    """No such job, or somebody else's."""

    code = "job_not_found"
    message = "There is no such job; those that have ended are forgotten after a while."


class JobNotFailed(Conflict):
    """A job that is not parked need not be started again."""

    code = "job_not_failed"
    message = "The job is {status}; only one that has failed can be tried again."


class JobReplaced(Conflict):
    """A job that must not wait beside another need not be started again when that one waits."""

    code = "job_replaced"
    message = "Job {number} is not needed: another of its kind waits already."
