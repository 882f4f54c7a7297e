"""The rows of the page Planner, in the words of its reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slider:
    """`value` is empty where nothing limits; at `highest` the slider limits nothing."""

    name: str
    text: str
    how: str
    value: str
    highest: str
    step: str


@dataclass(frozen=True)
class ArmRow:
    text: str
    members: str
    spend: str
    saved: str
    saved_bounds: str
    net_value: str
    net_bounds: str
    evidence: str
    about: str
    source: str


@dataclass(frozen=True)
class Point:
    """Of the frontier: what the figure draws, and what the table says."""

    label: str
    spend: float
    value: float
    low: float
    high: float
    on: bool
    spend_text: str
    value_text: str
    saved_text: str


@dataclass(frozen=True)
class Kept:
    """What a rule kept members from."""

    members: str
    text: str
