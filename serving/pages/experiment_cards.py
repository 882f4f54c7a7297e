"""What an experiment says, laid out as a card: a verdict in a sentence, differences with intervals, sizes, and how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from models.community import Community
from models.declared import Language
from models.experiment_wording import (
    arm_label,
    kind_of,
    label_of,
    lift_sentence,
    metric_label,
    notes_of,
    sizes_sentence,
    too_slow,
    waits_sentence,
    whisker_of,
    written,
    written_estimate,
    written_mean,
    written_p,
)
from models.intervals import Estimate
from models.kept_read_outs import KeptReadOuts
from models.moments import EPOCH
from models.read_out import Kind, Lift, ReadOut, Verdict
from models.texts import JOINER, calendar_day, decimal, estimate, number, plural, span, text
from models.whiskers import Scale, Whisker

SIGNS: Mapping[Verdict, str] = {
    "raises": "▲",
    "lowers": "▼",
    "no_larger_effect": "=",
    "more_days": "…",
    "too_few": "?",
    "small_arm": "?",
    "waiting": "…",
    "not_readable": "!",
}
SHORT: Mapping[Verdict, str] = {
    "raises": "experiments.short.raises",
    "lowers": "experiments.short.lowers",
    "no_larger_effect": "experiments.short.no_larger_effect",
    "more_days": "experiments.short.more_days",
    "too_few": "experiments.short.too_few",
    "small_arm": "experiments.short.small_arm",
    "waiting": "experiments.short.waiting",
    "not_readable": "experiments.short.not_readable",
}
LEADS: Mapping[Verdict, str] = {
    "raises": "experiments.lead.raises",
    "lowers": "experiments.lead.lowers",
    "no_larger_effect": "experiments.lead.same",
    "more_days": "experiments.lead.open",
    "too_few": "experiments.lead.open",
    "small_arm": "experiments.lead.open",
    "waiting": "experiments.lead.waiting",
    "not_readable": "experiments.lead.not_readable",
}
STANDS: Mapping[Verdict, str] = {"raises": "act", "lowers": "avoid", "not_readable": "avoid"}
ABOUT: Mapping[Kind, str] = {
    "global_control": "experiments.about.global_control",
    "declared": "experiments.about.declared",
    "intervention": "experiments.about.intervention",
}
DRAWN, DRAWN_CLUSTERS = "experiments.drawn", "experiments.drawn_clusters"
TOUCHED, BOTH = "experiments.about.touched", "experiments.about.decided_and_touched"


@dataclass(frozen=True)
class Chip:
    """`stands`: how it looks; the sign and the words say the same."""

    text: str
    sign: str
    stands: str


@dataclass(frozen=True)
class Measured:
    """One measure of one arm; without a `whisker` there is nothing to compare yet. `arm` where there are several, `figures` are named."""

    name: str
    arm: str | None
    chip: Chip
    sentence: str
    difference: str
    between: str
    whisker: Whisker | None
    zero: float
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ArmSize:
    name: str
    members: str
    expected: str


@dataclass(frozen=True)
class Card:
    """`measures`: the first metric of each arm leads. `waits` where nothing can be compared yet; `note`: how it was measured.

    `sources`: where its assignments came from, and what was left out, a sentence each.
    """

    id: str
    kind: Kind
    name: str
    about: str
    chip: Chip
    sentences: tuple[str, ...]
    measures: tuple[Measured, ...]
    waits: str | None
    arms: tuple[ArmSize, ...]
    check: str
    mismatch: bool
    running: tuple[tuple[str, str], ...]
    note: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Cards:
    community: Community
    kept: KeptReadOuts
    language: Language

    @property
    def until(self) -> datetime:
        """Nothing is known of this time and later."""
        return self._local(self.kept.read_outs[0].until_us)

    def lead(self) -> str:
        """What all that is done together changes; without a control group nobody can tell."""
        if not self.community.policy.control_share:
            return text(self.language, "experiments.lead.no_control")
        lift = self.kept.read_outs[0].lifts[0]
        shown = "" if lift.lift is None else decimal(abs(100 * lift.lift.value), 1)
        more = plural(self.language, "unit.days", lift.days_needed or 0)
        return text(self.language, LEADS[lift.verdict], lift=shown, more=more)

    def card(self, read: ReadOut) -> Card:
        leading = [lift for lift in read.lifts if lift.metric == read.lifts[0].metric]
        waits = all(lift.verdict == "waiting" for lift in read.lifts)
        return Card(
            id=read.id,
            kind=read.kind,
            name=label_of(read, self.community, self.language),
            about=self._about(read),
            chip=self._chip(next((one for one in leading if one.verdict in STANDS), leading[0])),
            sentences=tuple(lift_sentence(lift, read, self.community, self.language) for lift in leading),
            measures=tuple(self._measured(lift, read) for lift in read.lifts),
            waits=waits_sentence(read, self.community, self.language) if waits else None,
            arms=self._arms(read),
            check=sizes_sentence(read, self.language),
            mismatch=read.doubtful,
            running=self._running(read),
            note=self._note(read),
            sources=tuple(notes_of(read, self.language)),
        )

    def _about(self, read: ReadOut) -> str:
        """Who takes part, and what put them into groups."""
        declared = next((one for one in self.community.experiments if one.id == read.id and read.kind == "declared"), None)
        if declared is not None and declared.cluster is not None:
            return text(self.language, "experiments.about.clusters", cluster=declared.cluster)
        if declared is not None and declared.column is not None:
            return text(self.language, "experiments.about.by_column", column=declared.column)
        if read.sources is not None and read.sources.touches:
            return text(self.language, BOTH if read.sources.decisions else TOUCHED)
        return text(self.language, ABOUT[read.kind])

    def _chip(self, lift: Lift) -> Chip:
        more = plural(self.language, "unit.days", lift.days_needed or 0)
        short = "experiments.short.slow" if too_slow(lift) else SHORT[lift.verdict]
        return Chip(text(self.language, short, more=more), SIGNS[lift.verdict], STANDS.get(lift.verdict, "open"))

    def _measured(self, lift: Lift, read: ReadOut) -> Measured:
        arm = arm_label(lift.arm, read, self.community, self.language) if len(read.arms) > 2 else None
        scale = Scale.over([] if lift.lift is None else [lift.lift.interval])
        difference, between = ("", "") if lift.lift is None else self._difference(kind_of(lift, read, self.community), lift.lift)
        return Measured(
            name=metric_label(lift, read, self.community, self.language),
            arm=arm,
            chip=self._chip(lift),
            sentence=lift_sentence(lift, read, self.community, self.language),
            difference=difference,
            between=between,
            whisker=None if lift.lift is None else whisker_of(lift.verdict, lift.lift, scale),
            zero=scale.zero,
            figures=self._figures(lift, read),
        )

    def _written(self, kind: str, value: float) -> str:
        return written(kind, value, language=self.language, currency=self.community.currency)

    def _difference(self, kind: str, told: Estimate) -> tuple[str, str]:
        """With its interval."""
        value, low, high = written_estimate(kind, told, language=self.language, currency=self.community.currency)
        return value, span(self.language, low, high)

    def _figures(self, lift: Lift, read: ReadOut) -> tuple[tuple[str, str], ...]:
        told = {**self._compared(lift, read), **self._tested(lift, kind_of(lift, read, self.community))}
        return tuple((text(self.language, key, **names), shown) for key, (shown, names) in told.items() if shown)

    def _compared(self, lift: Lift, read: ReadOut) -> dict[str, tuple[str, dict[str, str]]]:
        language = self.language
        arms = {name: arm_label(getattr(lift, name), read, self.community, language) for name in ("arm", "control")}
        mean = partial(written_mean, kind_of(lift, read, self.community), language=language, currency=self.community.currency)
        means = "" if lift.mean is None else f"{mean(lift.mean)} : {mean(lift.control_mean)}"
        return {
            "experiments.watched": (f"{number(language, lift.members)} : {number(language, lift.control_members)}", arms),
            "experiments.means": (means, arms),
            "experiments.relative": ("" if lift.relative is None else _relative(language, lift.relative), {}),
        }

    def _tested(self, lift: Lift, kind: str) -> dict[str, tuple[str, dict[str, str]]]:
        language = self.language
        waiting_helps = lift.verdict != "not_readable"
        needed = number(language, lift.members_needed) if lift.members_needed is not None and waiting_helps else ""
        days = plural(language, "unit.days", lift.days_needed) if lift.days_needed and waiting_helps and not too_slow(lift) else ""
        return {
            "experiments.p": (written_p(lift.p), {}),
            "experiments.adjusted_p": (written_p(lift.adjusted_p), {}),
            "experiments.detectable": (self._unsigned(kind, lift.smallest_detectable), {}),
            "experiments.target": (self._unsigned(kind, lift.target), {}),
            "experiments.needed": (needed, {}),
            "experiments.days_needed": (days, {}),
        }

    def _unsigned(self, kind: str, value: float | None) -> str:
        return "" if value is None else self._written(kind, value).lstrip(f"+{JOINER}")

    def _arms(self, read: ReadOut) -> tuple[ArmSize, ...]:
        counts = zip(read.arms, read.check.observed, read.check.expected, strict=True)
        return tuple(
            ArmSize(arm_label(arm, read, self.community, self.language), number(self.language, n), number(self.language, round(expected)))
            for arm, n, expected in counts
        )

    def _running(self, read: ReadOut) -> tuple[tuple[str, str], ...]:
        """From when to when, and how fast members come."""
        language = self.language
        told = [
            ("experiments.started", None if read.started_us is None else calendar_day(language, self._local(read.started_us))),
            ("experiments.ended", None if read.ended_us is None else calendar_day(language, self._local(read.ended_us))),
            ("experiments.pace", number(language, read.pace) if read.pace else None),
        ]
        return tuple((text(language, key), shown) for key, shown in told if shown is not None)

    def _note(self, read: ReadOut) -> str:
        """The correction for several comparisons, and what was adjusted for."""
        told = [lift for lift in read.lifts if lift.p is not None]
        several = [text(self.language, "experiments.several", n=number(self.language, len(told)))] if len(told) > 1 else []
        adjusted = list(dict.fromkeys(metric_label(lift, read, self.community, self.language) for lift in told if lift.adjusted_for_before))
        before = text(self.language, "experiments.adjusted", metrics=text(self.language, "unit.list").join(adjusted)) if adjusted else None
        drawn = text(self.language, DRAWN if read.clusters is None else DRAWN_CLUSTERS) if told and read.kind == "intervention" else None
        between = "" if self.language == "zh" else " "
        return between.join([*several, *(note for note in (before, drawn) if note is not None)])

    def _local(self, at_us: int) -> datetime:
        return (EPOCH + timedelta(microseconds=at_us)).astimezone(self.community.zone)


def _relative(language: Language, told: Estimate) -> str:
    return estimate(language, *(f"{decimal(100 * end, 1, signed=True)}%" for end in (told.value, *told.interval)))
