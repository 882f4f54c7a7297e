"""What a person reads of a proof: whom to contact, what decisions are worth, what a version showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from models.targeting_report import answer_of, caveats_of, notes_of

if TYPE_CHECKING:
    from rich.console import Console

    from models.declared import Language
    from models.policy_value import PolicyDifference, PolicyValue
    from pipelines.policies import PoliciesTried
    from pipelines.promote import Promotion
    from pipelines.targeting import TargetingTold


def print_targeting(told: TargetingTold, language: Language, console: Console) -> None:
    """The sentence first."""
    answer = answer_of(told.targeting, language, told.occasion.community.currency)
    for sentence in (answer.lead, *answer.finding, *answer.money):
        console.print(sentence, highlight=False, soft_wrap=True)
    for note in notes_of(told.targeting, told.occasion, language):
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    for caveat in caveats_of(told.occasion, language):
        console.print(f"warning: {caveat}", style="yellow", highlight=False, soft_wrap=True)


def print_policies(tried: PoliciesTried, console: Console) -> None:
    comparison = tried.trial.comparison
    roles = ", ".join(f"{role} is version {version}" for role, version in tried.versions.items())
    first = next(iter(tried.versions))
    table = Table("policy", "doubly robust", "SNIPS", f"against the {first}", "effective rows")
    for name, judged in comparison.policies.items():
        values = [_per_thousand(value) if value else "" for value in (judged.dr, judged.snips, judged.gain)]
        table.add_row(name.replace("_", " "), *values, f"{judged.dr.effective_sample_size:,.0f}")
    over = "members" if tried.trial.by is None else f"groups of {tried.trial.by}"
    unit = f"{tried.currency} for each 1,000 decisions, with {comparison.level:.0%} intervals over {over}"
    console.print(f"{unit}; {roles}", highlight=False)
    console.print(table, highlight=False)
    for name, judged in comparison.policies.items():
        if judged.note:
            console.print(f"{name.replace('_', ' ')}: {judged.note}", highlight=False)
    console.print(str(tried.trial.source), highlight=False)
    if tried.trial.assignment != "logged":
        console.print("warning: the chances of the actions were not logged but estimated", style="yellow", highlight=False)
    for name, judged in comparison.policies.items():
        for warning in judged.warnings:
            console.print(f"warning: {name.replace('_', ' ')}: {warning}", style="yellow", highlight=False)
    for warning in tried.trial.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False)


def _per_thousand(value: PolicyValue | PolicyDifference) -> str:
    return f"{1000 * value.value:,.0f} ({1000 * value.low:,.0f} to {1000 * value.high:,.0f})"


def print_promotion(promotion: Promotion, console: Console) -> None:
    console.print(f"version {promotion.version} is the champion", highlight=False)
    for requirement in promotion.shown.verdict.requirements:
        console.print(f"  {requirement.said}", highlight=False)
    for note in promotion.shown.verdict.notes:
        console.print(f"  {note}", style="dim", highlight=False)
