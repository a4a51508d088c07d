"""ETags made from version numbers (RFC 9110 section 8.8.3): no hash of a body, no race between check and write."""

from __future__ import annotations

import re

from flask import g, request

from api.core.errors import Malformed, PreconditionRequired
from api.rest.problems import StaleVersion

METHODS_THAT_CHECK = frozenset({"PATCH", "DELETE"})
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAG_LIST = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")


class VersionRequired(PreconditionRequired):
    """A change without If-Match would overwrite what the caller has not seen."""

    code = "precondition_required"
    message = "Send If-Match with the ETag of the copy you are changing."


class TagMalformed(Malformed):
    """If-Match holds something that is not an entity tag."""

    code = "if_match_malformed"
    message = 'If-Match takes quoted entity tags, as in If-Match: "3".'


def require_if_match() -> None:
    """Refuse a change that does not say which version it is based on.

    Raises:
        VersionRequired: If-Match is missing, or `*`, which names no version.
        TagMalformed: If-Match is not a list of quoted tags.

    """
    header = request.headers.get("If-Match", "").strip()
    if not header or header == "*":
        raise VersionRequired
    if not _TAG_LIST.fullmatch(header):
        raise TagMalformed


def check(version: int | str) -> None:
    """Compare If-Match with the present version; weak tags never match.

    Raises:
        StaleVersion: none of the tags is the present one.

    """
    g.etag_checked = True
    if tag_of(version) not in re.findall(_TAG, request.headers.get("If-Match", "")):
        raise StaleVersion


class CopyIsCurrentError(Exception):
    """The caller has already what a view is about to show; `Blueprint.etag` answers 304."""


def announce(version: int | str) -> None:
    """Remember the tag for the answer; end a conditional GET here when the caller's copy is current.

    Raises:
        CopyIsCurrentError: it is.

    """
    g.etag = tag = tag_of(version)
    if request.method in {"GET", "HEAD"} and _is_current(tag):
        raise CopyIsCurrentError


def tag_of(version: int | str) -> str:
    """Write a version as a strong entity tag."""
    return f'"{version}"'


def _is_current(tag: str) -> bool:
    header = request.headers.get("If-None-Match", "").strip()
    return header == "*" or tag in (known.removeprefix("W/") for known in re.findall(_TAG, header))
