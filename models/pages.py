"""Pages of HTML that stand alone: their templates, which share one style."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from jinja2 import Template


FOLDER = Path(__file__).parent / "templates"


def template_file(name: str) -> Path:
    """For pages elsewhere that hold the same sections."""
    return FOLDER / name


@cache
def page_template(name: str) -> Template:
    """What a template is not given is an error; the filter `percent` writes a length of an SVG."""
    loader = FileSystemLoader(FOLDER)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = "{:.3f}%".format
    return environment.get_template(name)
