"""The name that a request has for its retries: in the body, or in a header."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from serving.problems import INVALID, Fault, Refusal
from serving.schemas import Text

IdempotencyKey = Annotated[Text | None, Header(description="the same as `request_id`; in a batch it names each row by its place")]


def named(request_id: str | None, key: str | None) -> str | None:
    """Raises Refusal where body and header say otherwise: whoever retries by the one would not find what the other named."""
    if request_id is not None and key is not None and request_id != key:
        detail = f'"{key}" is not the request_id "{request_id}" of the body; send one of them, or the same in both'
        raise Refusal(
            INVALID, f"header.idempotency-key: {detail}", (Fault(parameter="header.idempotency-key", code="other_id", detail=detail),)
        )
    return request_id if key is None else key
