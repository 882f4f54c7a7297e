"""What a person reads of a restored backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.counting import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.restore import Restored


def told_of_restored(restored: Restored) -> dict[str, Any]:
    filled, checked = restored.filled, restored.checked
    return {
        "made_at": restored.manifest.made_at,
        "from_revision": filled.migration.before,
        "to_revision": filled.migration.after,
        "rows": dict(filled.rows),
        "erased_again": filled.erased_again,
        "tombstones_lost": filled.tombstones_lost,
        "declaration": restored.declaration,
        "champion": restored.champion,
        "replayed": {"same": checked.same, "changed": list(checked.changed), "not_replayable": checked.not_replayable},
    }


def print_restored(restored: Restored, console: Console) -> None:
    for line in _lines(restored):
        console.print(line, highlight=False, soft_wrap=True)


def _lines(restored: Restored) -> list[str]:
    filled, checked = restored.filled, restored.checked
    rows = ", ".join(f"{name} {count:,}" for name, count in filled.rows.items() if count)
    lines = [f"restored as it was at {restored.manifest.made_at}: {rows or 'an empty store'}"]
    if filled.migration.before != filled.migration.after:
        lines.append(f"brought from revision {filled.migration.before} to {filled.migration.after}")
    if filled.erased_again:
        lines.append(f"{counted(filled.erased_again, 'member who was', 'members who were')} erased since the backup: erased again")
    if filled.tombstones_lost:
        lost = counted(filled.tombstones_lost, "tombstone of a member who is", "tombstones of members who are")
        lines.append(f"{lost} not in the backup could not be taken over: erase again")
    if not restored.declaration:
        lines.append("the declaration that is here stays; that of the backup is .keepwell/keepwell.restored.yaml")
    lines.append("no model is in force" if restored.champion is None else f"version {restored.champion} is in force")
    replayed = f"decisions made again: {checked.same} with the same result, {len(checked.changed)} with another"
    lines.append(f"{replayed}, {checked.not_replayable} that cannot be: {', '.join(checked.changed)}".removesuffix(": "))
    return lines
