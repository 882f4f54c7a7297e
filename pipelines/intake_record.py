"""What a kept log was read from, and what was found when it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from models.findings import Finding, finding_of
from models.kept_log import KeptLog
from models.scattering import PART_EVENTS

if TYPE_CHECKING:
    from models.canonical import Intake

RECORD_FILE = "intake.json"
FUTURE = ("rows.time_future", "rows.join_future")
_TIMES = ("read_at", "first", "last")


@dataclass(frozen=True)
class Ingested:
    """log: the accepted rows; rejected: how many rows of the log were not; rejected_files: where the rejected rows of all tables are."""

    log: KeptLog
    findings: tuple[Finding, ...]
    rejected: int
    rejected_files: tuple[Path, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")


@dataclass(frozen=True)
class IntakeRecord:
    """What a kept log was read from, and what was found when it was; `delivered`: the deliveries that are in it, as they came."""

    fingerprint: str
    read_at: datetime
    first: datetime
    last: datetime
    events: int
    ends: tuple[int, ...]
    rejected: int
    findings: tuple[Finding, ...]
    rejected_files: tuple[Path, ...]
    delivered: tuple[str, ...]

    @classmethod
    def of(
        cls,
        fingerprint: str,
        read_at: datetime,
        intake: Intake,
        rejected: int,
        findings: tuple[Finding, ...],
        files: tuple[Path, ...],
        delivered: tuple[str, ...],
    ) -> Self:
        return cls(fingerprint, read_at, *intake.span, intake.events, intake.ends, rejected, findings, files, delivered)

    def log(self, folder: Path) -> KeptLog:
        return KeptLog(folder, self.ends, self.events, self.first, self.last)

    def ingested(self, folder: Path) -> Ingested:
        return Ingested(self.log(folder), self.findings, self.rejected, self.rejected_files)

    def serves(self, now: datetime) -> bool:
        """A row rejected as future may have come to pass, so that such a record holds for its day; and no event may lie after `now`."""
        future = any(finding.code in FUTURE for finding in self.findings)
        return self.last <= now and not (future and self.read_at.date() != now.date())

    def goes_on(self, delivered: tuple[str, ...]) -> bool:
        """Did these come after those that are in it, and are its parts not yet twice as large as parts are made?"""
        return delivered[: len(self.delivered)] == self.delivered and self.events <= 2 * PART_EVENTS * len(self.ends)

    @classmethod
    def read(cls, folder: Path, fingerprint: str) -> Self | None:
        """None where nothing whole was kept, or it was read from other tables, by another declaration or by another version."""
        file = folder / RECORD_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if content.get("fingerprint") != fingerprint:
            return None
        return cls(
            **content
            | {name: datetime.fromisoformat(content[name]) for name in _TIMES}
            | {name: tuple(content[name]) for name in ("ends", "delivered")}
            | {"findings": tuple(finding_of(finding) for finding in content["findings"])}
            | {"rejected_files": tuple(Path(path) for path in content["rejected_files"])}
        )

    def write(self, folder: Path) -> None:
        told = {name: getattr(self, name).isoformat() for name in _TIMES}
        content = asdict(self) | told | {"rejected_files": [str(path) for path in self.rejected_files]}
        (folder / RECORD_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
