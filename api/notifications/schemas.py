"""The shapes of notifications."""

from __future__ import annotations

from api.notifications.kinds import EMAILS, KINDS
from api.rest.fields import (
    AwareDateTime,
    Boolean,
    JsonObject,
    Nested,
    SafeString,
    StrictInteger,
    StrictUUID,
    Text,
)
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4c"
MOMENT = "2026-05-17T09:30:00Z"
KIND = {"description": f"What kind of news: {', '.join(KINDS)}.", "examples": ["order_shipped"]}
IN_APP = {"description": "Whether it is listed, and counts as unread.", "examples": [True]}
EMAIL = {
    "description": "`none`, `each` at once, or `daily`: one mail at 06:00 UTC about everything since the last.",
    "examples": ["daily"],
}


class NotificationSchema(ResponseSchema):
    """One thing you are told."""

    id = StrictUUID(metadata={"description": "Identifier; those of newer ones are greater.", "examples": [ID]})
    kind = Text(metadata=KIND)
    title = Text(metadata={"description": "In a line.", "examples": ["Order SO-001001 is on its way"]})
    text = Text(metadata={"description": "Plain text, no markup.", "examples": ["2 units left with Royal Mail."]})
    subject_type = Text(metadata={"description": "What it is about.", "examples": ["order"]})
    subject_id = StrictUUID(metadata={"description": "Which one.", "examples": [ID]})
    data = JsonObject(
        metadata={"description": "The same for programs; depends on the kind.", "examples": [{"number": "SO-001001"}]}
    )
    created_at = AwareDateTime(metadata={"description": "When you were told.", "examples": [MOMENT]})
    read_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it was marked as read, or null.", "examples": [None]}
    )


class NotificationQuerySchema(PageQuerySchema):
    """Which notifications to list."""

    unread = Boolean(metadata={"description": "Only what is not read yet, or only what is.", "examples": [True]})
    kind = SafeString(validate=[OneOf(list(KINDS))], metadata=KIND)


class UnreadCountSchema(ResponseSchema):
    """What has not been read."""

    unread = StrictInteger(metadata={"description": "How many notifications are unread.", "examples": [3]})


class ReadAllSchema(Schema):
    """What to mark as read; without `until` everything."""

    until = StrictUUID(
        metadata={
            "description": "Only this notification and older ones: the newest your user has seen.",
            "examples": [ID],
        }
    )


class MarkedSchema(ResponseSchema):
    """What has been marked."""

    marked = StrictInteger(metadata={"description": "How many were unread until now.", "examples": [3]})


class PreferenceSchema(ResponseSchema):
    """How you are told of one kind of thing."""

    says = Text(metadata={"description": "What is told.", "examples": [KINDS["order_shipped"].says]})
    in_app = Boolean(metadata=IN_APP)
    email = Text(metadata=EMAIL)


class PreferenceUpdateSchema(UpdateSchema):
    """How you want to be told of one kind of thing."""

    in_app = Boolean(metadata=IN_APP)
    email = SafeString(validate=[OneOf(list(EMAILS))], metadata=EMAIL)


def _by_kind(base: type[Schema], each: type[Schema], *, says: str) -> type[Schema]:
    """Make the schema of an object that has a member for each kind."""
    members = {name: Nested(each, metadata={"description": kind.says}) for name, kind in KINDS.items()}
    name = f"Notification{each.__name__.replace('Preference', 'Preferences')}"
    return type(name, (base,), {"__doc__": says, "__module__": __name__, **members})


PreferencesSchema = _by_kind(ResponseSchema, PreferenceSchema, says="How you are told of each kind of thing.")
PreferencesUpdateSchema = _by_kind(UpdateSchema, PreferenceUpdateSchema, says="What to change about being told.")
NotificationPageSchema = page_of(NotificationSchema)
