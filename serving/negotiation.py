"""What a client likes best (RFC 9110, section 12.5.1), and what it has already (section 13.1.2)."""

from __future__ import annotations

from collections.abc import Sequence


def best_media_type(accept: str, offered: Sequence[str]) -> str | None:
    """The offered type of the highest quality, ties to the first; None where all have quality 0."""
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    quality = {media_type: _quality(media_type, ranges) for media_type in offered}
    best = max(offered, key=lambda media_type: quality[media_type])
    return best if quality[best] > 0 else None


def has_already(if_none_match: str, etag: str) -> bool:
    """Whether one of the client's entity tags is this one, weak or not."""
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in given or etag in given


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = next((parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return name, float(given)
    except ValueError:
        return name, 0.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """That of the most specific range which matches."""
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        matching = [quality for given, quality in ranges if given == name]
        if matching:
            return max(matching)
    return 0.0
