"""What a person reads of roll-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from models.rollouts import shown

if TYPE_CHECKING:
    from rich.console import Console

    from models.rollouts import Rollout
    from pipelines.rollout import RolledBack


def print_rollout(rollout: Rollout, console: Console) -> None:
    console.print(
        f"roll-out {rollout.rollout_id}: version {rollout.challenger} decides for {rollout.percent:g} % of the members since "
        f"{shown(rollout.stages[-1].since_us)}, version {rollout.champion} for the others",
        highlight=False,
        soft_wrap=True,
    )


def print_rolled_back(told: RolledBack, console: Console) -> None:
    for line in _lines(told):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _lines(told: RolledBack) -> list[str]:
    lines = []
    if told.ended is not None:
        last = told.ended.stages[-1].percent
        lines.append(f"roll-out {told.ended.rollout_id} of version {told.ended.challenger} has ended at {last:g} % of the members")
        lines.append(f"{len(told.taken_over)} processes of the service have taken it over, after {told.seconds:.1f} s")
    if told.silent:
        lines.append(f"nothing was heard of {', '.join(told.silent)}; what runs there takes it over when the store answers it")
    if told.replaced is None:
        return [*lines, f"version {told.champion} decides for all"]
    return [*lines, f"version {told.champion} is the champion again, in the place of {told.replaced}; a running service follows within 5 s"]
