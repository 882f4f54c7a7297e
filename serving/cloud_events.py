"""Behaviour events as CloudEvents 1.0: one, a batch, or in binary mode (the HTTP protocol binding, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from models.moments import microseconds
from models.store import LoggedEvent
from serving.schemas import Amount, Moment, ShortText, Text

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
PREFIX = "ce-"
_JSON = r"^[^/]+/([^/;]+\+)?json( *;.*)?$"


class CloudEventData(BaseModel):
    """Other keys are left aside."""

    model_config = ConfigDict(frozen=True)

    value: Amount | None = None
    channel: ShortText | None = None


class CloudEvent(BaseModel):
    """`subject` is the member, and `source#id` becomes the `event_id`, for CloudEvents are told apart by the two together.

    A `#` of the id is written as `%23` there, for a source may hold one too.

    Extension attributes are left aside; `data_base64` is refused, for data is JSON here.
    """

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Annotated[ShortText, Field(description="an event type that a signal of the community names, as it stands")]
    subject: Annotated[Text, Field(description="the member")]
    time: Annotated[Moment, Field(description="RFC 3339, with an offset")]
    datacontenttype: Annotated[str | None, Field(max_length=256, pattern=_JSON)] = None
    data: CloudEventData | None = None
    data_base64: SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _is_told_apart(self) -> Self:
        if len(self.event_id) > 256:
            message = "source and id have at most 255 characters together"
            raise ValueError(message)
        return self

    @property
    def event_id(self) -> str:
        return f"{self.source}#{self.id.replace('#', '%23')}"

    def logged(self) -> LoggedEvent:
        data = self.data or CloudEventData()
        return LoggedEvent(self.subject, microseconds(self.time), self.type, self.event_id, data.value, data.channel)


def is_binary(headers: Mapping[str, str]) -> bool:
    return f"{PREFIX}specversion" in headers


def from_binary(headers: Mapping[str, str], data: object) -> dict[str, Any]:
    """The attributes stand in headers, percent-encoded, and the data is the body."""
    attributes = {name.removeprefix(PREFIX): unquote(value) for name, value in headers.items() if name.startswith(PREFIX)}
    return {**attributes, "datacontenttype": headers.get("content-type"), "data": data}
