"""What can be wrong with the installation itself."""

from api.core.errors import Busy


class NotReady(Busy):
    """Something this process needs is missing."""

    code = "not_ready"
    message = "This process is not ready to take requests."
    retry_after = 2
