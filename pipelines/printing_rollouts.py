"""What a person reads of roll-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from models.counting import counted
from models.experiment_wording import check_sentence
from models.rollout_wording import Asked, followed_sentence, headline, row_sentence, state_sentence, todo
from models.rollouts import shown
from models.texts import text

if TYPE_CHECKING:
    from rich.console import Console

    from models.declared import Language
    from models.rollouts import Rollout
    from pipelines.rollout import RolledBack
    from pipelines.rollout_watch import RolloutStatus


def print_rollout(rollout: Rollout, console: Console) -> None:
    console.print(
        f"roll-out {rollout.rollout_id}: version {rollout.challenger} decides for {rollout.percent:g} % of the members since "
        f"{shown(rollout.stages[-1].since_us)}, version {rollout.champion} for the others",
        highlight=False,
        soft_wrap=True,
    )


def print_status(told: RolloutStatus | None, language: Language | None, console: Console) -> None:
    if told is None:
        console.print(text(language or "en", "rollout.none"), highlight=False, soft_wrap=True)
        return
    for line in _status_lines(told, language or told.community.language):
        if line:
            console.print(escape(line), highlight=False, soft_wrap=True)


def _status_lines(told: RolloutStatus, language: Language) -> list[str]:
    comparison = None if told.kept is None else told.kept.comparison
    lines = [state_sentence(told.rollout, Asked(told.community, language)), headline(told.rollout, told.kept, told.community, language)]
    if comparison is not None:
        lines += [row_sentence(row, told.community, language) for row in comparison.rows]
        lines += [check_sentence(comparison.check, language), followed_sentence(comparison, language)]
    lines += [f"{one.process}: {one.error}" for one in told.refusals]
    return [*lines, todo(told.rollout, comparison, language)]


def print_rolled_back(told: RolledBack, console: Console) -> None:
    for line in _lines(told):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _lines(told: RolledBack) -> list[str]:
    lines = []
    if told.ended is not None:
        last = told.ended.stages[-1].percent
        lines.append(f"roll-out {told.ended.rollout_id} of version {told.ended.challenger} has ended at {last:g} % of the members")
        processes = counted(len(told.taken_over), "process of the service has", "processes of the service have")
        lines.append(f"{processes} taken it over, after {told.seconds:.1f} s")
    if told.silent:
        lines.append(f"nothing was heard of {', '.join(told.silent)}; what runs there takes it over when the store answers it")
    if told.replaced is None:
        return [*lines, f"version {told.champion} decides for all"]
    return [*lines, f"version {told.champion} is the champion again, in the place of {told.replaced}; a running service follows within 5 s"]
