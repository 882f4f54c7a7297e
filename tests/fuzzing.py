"""schemathesis over the description of a service that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.patience import PATIENCE_SECONDS

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
SETTINGS = rf"""
[checks]
enabled = false
{"".join(f"{name}.enabled = true{chr(10)}" for name in CHECKS)}
[[operations]]
include-path-regex = '^/v1/members/\{{member_id\}}/'
checks.unsupported_method.enabled = false
"""
"""An id may hold a slash: DELETE on a path below a member's asks for the member of that name, so that no method is missing there."""


@dataclass(frozen=True)
class Fuzzed:
    """`found` is empty where every answer was as described; else what was printed of those that were not."""

    cases: int
    found: str


def fuzz(url: str, key: str, folder: Path, *, examples: int, phases: str, paths: str = "/", seed: int = 1) -> Fuzzed:
    """Reads the description from the service itself; `examples` for each operation, whose path `paths` finds, and phase."""
    report = folder / "report.json"
    options = [
        *("--phases", phases, "--max-examples", str(examples), "--seed", str(seed)),
        *("--request-timeout", str(PATIENCE_SECONDS), "--suppress-health-check", "too_slow"),
        *("--generation-database", "none", "--no-shrink", "--no-color"),
        *("--include-path-regex", paths),
        *("--continue-on-failure", "--warnings", "off", "--report-json-path", str(report), "-H", f"Authorization: Bearer {key}"),
    ]
    (folder / "schemathesis.toml").write_text(SETTINGS, "utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = json.loads(report.read_text("utf-8"))
    return Fuzzed(told["test_cases"]["generated"], "" if done.returncode == 0 else done.stdout[-8_000:] + done.stderr[-2_000:])
