"""What a person reads after a verb has run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Column, Table

from models.counting import counted
from pipelines.train import effects_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from rich.console import Console

    from models.comparison import Compared
    from models.costs import RedemptionRate
    from models.evaluation import ChurnMetrics
    from models.intervals import Estimate
    from models.uplift_evidence import Evidence
    from pipelines.decide import Decided
    from pipelines.evaluate import Evaluated
    from pipelines.recording import Recorded
    from pipelines.train import TrainingSummary

SHOWN = {
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "ECE",
    "lift_at_10": "lift at 10 %",
}
VERDICTS = {"act": "helps", "avoid": "harms", "explore": "explore", "not_enough": "not enough"}
GRADES = {
    "A": "clearly better than the best plain rule",
    "B": "better than the best plain rule",
    "C": "not shown to be better than a plain rule, which is used",
}


def print_training(summary: TrainingSummary, console: Console) -> None:
    trained = summary.trained
    metrics = trained.churn.metrics
    console.print(
        f"version {summary.registered.version}: learned from {counted(trained.snapshots, 'snapshot')} at {counted(trained.cuts, 'date')}; "
        f"tested on {counted(metrics.n, 'member')} at {trained.test_as_of:%Y-%m-%d}, of whom {metrics.base_rate:.1%} were lost "
        f"over {counted(trained.engine.churn.main, 'day')}",
        highlight=False,
    )
    drawn = trained.drawn
    if not drawn.sample.everyone:
        whole = counted(drawn.members, "member")
        console.print(f"a sample of {summary.lesson.members:,} of {whole}: {drawn.sample.share:.3g} of all", highlight=False)
    if left_out := summary.lesson.left_out:
        console.print(left_out_sentence(left_out), highlight=False)
    print_comparison(trained.churn.compared, trained.churn.in_use, console)
    if effects := effects_of(trained):
        print_effects(effects, console)
    for rate in trained.redemption:
        if rate.assigned > 0:
            console.print(_redeemed(rate), highlight=False, soft_wrap=True)
    for warning in trained.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False)
    console.print("registered as challenger; put it in force with: keepwell promote", highlight=False)


def left_out_sentence(members: int) -> str:
    return f"{counted(members, 'member has', 'members have')} switched personalisation off: nothing was learned of them"


def print_effects(effects: Iterable[Evidence], console: Console) -> None:
    """Average effects in percentage points of staying, at 90 %; `more`: rows of it still needed to see the effect."""
    heads = {"intervention": True, "rows": True, "effect, points": True, "source": False, "verdict": False, "more": True}
    table = Table(*(Column(head, no_wrap=whole) for head, whole in heads.items()), box=SIMPLE, padding=(0, 1, 0, 0))
    for each in effects:
        more = "" if each.more_members in {None, 0} else f"{each.more_members:,}"
        table.add_row(each.intervention, f"{each.n:,}", _points(each), each.source, VERDICTS[each.verdict], more)
    console.print(table, highlight=False)


def _redeemed(each: RedemptionRate) -> str:
    """For example "welcome_gift: redeemed by 42% (38% to 46%, 90 %); 120 of 284 in the log, believed 50%"."""
    seen = f"{each.redeemed:,} of {each.assigned:,} in the log, believed {each.belief:.0%}"
    return f"{each.intervention}: redeemed by {each.rate:.0%} ({each.low:.0%} to {each.high:.0%}, 90 %); {seen}"


def _points(each: Evidence) -> str:
    if each.average_effect is None or each.interval is None:
        return f"belief {100 * each.expected_effect:+.1f}"
    low, high = each.interval
    return f"{100 * each.average_effect:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def print_evaluation(evaluated: Evaluated, console: Console) -> None:
    console.print(
        f"version {evaluated.version} at {evaluated.as_of:%Y-%m-%d}: {counted(evaluated.compared.metrics.n, 'member')}, "
        f"{evaluated.compared.metrics.base_rate:.1%} lost over {counted(evaluated.horizon_days, 'day')}",
        highlight=False,
    )
    print_comparison(evaluated.compared, evaluated.in_use, console)
    console.print(_campaign(evaluated), highlight=False)
    if not evaluated.out_of_time:
        console.print("warning: the model learned from outcomes after this date; the figures flatter it", style="yellow", highlight=False)


def _campaign(evaluated: Evaluated) -> str:
    """EMPC and its successor, in money for each member."""
    assumed, told = evaluated.compared.metrics.empc, evaluated.campaign
    learned = ", ".join(
        f"{found.profit:.3f} by {name} ({found.target_share:.0%} contacted)"
        for name, found in (("risk", told.by_risk), ("net value", told.by_net_value))
    )
    return (
        f"expected maximum profit of a campaign for each member: {_estimate(assumed)} with the acceptance that EMPC assumes; "
        f"with the response of this version, learned from touches for {told.learned:.0%} of the members, {learned}"
    )


def print_comparison(compared: Compared, in_use: str, console: Console) -> None:
    table = Table("", "model", *(name.replace("_", " ") for name in compared.baselines))
    columns: Mapping[str, ChurnMetrics] = {"model": compared.metrics, **compared.baselines}
    for name, label in SHOWN.items():
        table.add_row(label, *(_estimate(getattr(metrics, name)) for metrics in columns.values()))
    console.print(table, highlight=False)
    gain, shortage = _estimate(compared.gain), "" if compared.shortage is None else f"; {compared.shortage}"
    console.print(
        f"grade {compared.grade}: {GRADES[compared.grade]} (AUC gain {gain}){shortage}; in use: {in_use.replace('_', ' ')}",
        highlight=False,
        soft_wrap=True,
    )


def print_decisions(decided: Decided, output: Path, console: Console) -> None:
    table = decided.table
    counts = dict(table["chosen"].value_counts(sort=True).iter_rows())
    print_actions(counts, decided.as_of, decided.version, str(output), console)
    if decided.rollout:
        console.print(decided.rollout, highlight=False, soft_wrap=True)
    if decided.recorded is not None:
        print_recorded(decided.recorded, console)


def print_recorded(recorded: Recorded, console: Console) -> None:
    console.print(f"{counted(recorded.kept, 'decision is', 'decisions are')} in the store", highlight=False)
    if recorded.left_out:
        left_out = counted(recorded.left_out, "is not: this member was", "are not: these members were")
        told = f"{left_out} contacted, or erased, while the run was made"
        console.print(told, highlight=False, soft_wrap=True)


def print_actions(counts: Mapping[str, int], as_of: datetime, version: str, output: str, console: Console) -> None:
    """How many members were decided on, and what was chosen for how many."""
    told = f"{counted(sum(counts.values()), 'member')} decided on at {as_of.isoformat()} by version {version}, in {output}"
    console.print(told, highlight=False, soft_wrap=True)
    shown = Table("action", "members")
    for name, members in counts.items():
        shown.add_row(name, f"{members:,}")
    console.print(shown, highlight=False)


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f})"
