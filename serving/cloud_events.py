"""Behaviour events as CloudEvents 1.0: one, a batch, or in binary mode (the HTTP protocol binding, section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from models.moments import microseconds
from models.store import LoggedEvent
from serving.problems import INVALID, Fault, Refusal
from serving.schemas import Amount, Moment, ShortText, Text

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
PREFIX = "ce-"
_ESCAPED = re.compile(r"\\(.)")
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
    """The attributes stand in headers, and the data is the body. Raises Refusal."""
    attributes = {name.removeprefix(PREFIX): _decoded(name, value) for name, value in headers.items() if name.startswith(PREFIX)}
    return {**attributes, "datacontenttype": headers.get("content-type"), "data": data}


def _decoded(name: str, value: str) -> str:
    """As the HTTP binding has it (section 3.1.3.2): without the quotes, then percent-decoded once.

    Headers are read as Latin-1; who sends UTF-8 as it is, such as curl, means UTF-8. Raises Refusal.
    """
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeDecodeError:
        parameter, detail = f"header.{name}", "this is no UTF-8; write what is not ASCII percent-encoded, in UTF-8"
        raise Refusal(INVALID, f"{parameter}: {detail}", (Fault(parameter=parameter, code="no_utf_8", detail=detail),)) from None
