"""What every failure looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

ANY_FIELD = "(any field)"
HEADER_OF_STATUS = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}


def assert_envelope(response: TestResponse) -> dict[str, Any]:
    """Check the exact shape of a failure, whatever it says."""
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "field", "details", "request_id"}
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert error["details"]
    for problem in (error, *error["details"]):
        assert isinstance(problem["code"], str)
        assert problem["code"]
        assert isinstance(problem["message"], str)
        assert problem["message"]
        assert problem["field"] is None or isinstance(problem["field"], str)
    assert HEADER_OF_STATUS.get(response.status_code, "Content-Type") in response.headers
    return error


def assert_problem(
    response: TestResponse, status: int, code: str, field: str | None = ANY_FIELD
) -> list[dict[str, Any]]:
    """Check that a request was refused in this way; gives the details."""
    assert response.status_code == status, response.text[:500]
    error = assert_envelope(response)
    assert error["code"] == code, response.text[:500]
    if field != ANY_FIELD:
        assert error["field"] == field, response.text[:500]
    details: list[dict[str, Any]] = error["details"]
    return details
