"""Logs written by hand for one test, and the smallest declaration that names their columns."""

from datetime import UTC, datetime
from pathlib import Path

from models.canonical import Intake
from models.community import Community
from models.intake import read_log

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION = {
    "id": "question",
    "label": {"en": "Question", "zh": "提问"},
    "category": "social",
    "lever": "care",
    "channels": ["push"],
    "cost": 1,
    "starting_uplift": 0.01,
    "starting_evidence": 1000,
}


def declared(path: str, **changes: object) -> Community:
    """A community of one signal whose log has the columns member and time; `log` in `changes` adds to its columns."""
    log = {"path": path, "member": "member", "time": "time"} | changes.pop("log", {})
    log |= {} if "type" in log else {"type_is": "post"}
    content = {
        "name": "test",
        "log": log,
        "signals": [{"name": "posts", "event_types": ["post"], "label": {"en": "posts", "zh": "发帖"}}],
        "lifecycle": {"tiers": [{"name": "base", "min_contributions": 0, "value": 1, "label": {"en": "base", "zh": "基础"}}]},
        "interventions": [QUESTION],
    }
    return Community.model_validate(content | changes)


def written(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, name: str = "events.csv", **changes: object) -> Intake:
    written(folder, text, name)
    return read_log(declared(name, **changes), folder, now=NOW)
