"""The documentation page, made in the browser from openapi.json; nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "static"
POLICY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    ]
)


@router.get("/docs")
def page() -> Response:
    return FileResponse(FOLDER / "docs.html", media_type="text/html", headers={"Content-Security-Policy": POLICY})


@router.get("/docs/docs.js")
def script() -> Response:
    return FileResponse(FOLDER / "docs.js", media_type="text/javascript")


@router.get("/docs/docs.css")
def style() -> Response:
    return FileResponse(FOLDER / "docs.css", media_type="text/css")
