"""Files that the pages load, all from this host: our own, and what others made, with its release, licence and checksum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from models.pages import template_file
from serving.problems import NOT_FOUND, Refusal

FOLDER = Path(__file__).parents[1] / "static"
POLICY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"),
        *("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"),
    ]
)
"""Content-Security-Policy of every page: nothing inline, nothing from elsewhere."""


@dataclass(frozen=True)
class Vendored:
    """A file as its makers published it in the npm registry."""

    file: str
    package: str
    version: str
    licence: str
    sha256: str
    source: str


VENDORED = (
    Vendored(
        "vendor/echarts.min.js",
        "echarts",
        "6.1.0",
        "Apache-2.0",
        "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0",
        "package/dist/echarts.min.js",
    ),
    Vendored(
        "vendor/htmx.min.js",
        "htmx.org",
        "2.0.11",
        "0BSD",
        "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
        "package/dist/htmx.min.js",
    ),
)
OWN = {name: FOLDER / name for name in ("keepwell.css", "keepwell.js", "charts.js", "words.js", "mark.svg")} | {
    "member.css": template_file("member.css")
}
FILES = OWN | {one.file: FOLDER / one.file for one in VENDORED}
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


@cache
def address(name: str) -> str:
    """With a part of the content's hash, so that a browser may keep the file for good. Raises KeyError for an unknown name."""
    return f"/static/{name}?v={sha256(FILES[name].read_bytes()).hexdigest()[:12]}"


@router.get("/static/{name:path}")
def asset(name: str) -> Response:
    if name not in FILES:
        raise Refusal(NOT_FOUND, "there is no such file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return FileResponse(FILES[name], media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)
