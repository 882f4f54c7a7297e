"""The geometry of the figures in a member report: coordinates in the units of an SVG's view box, and texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.texts import calendar_day, decimal, number, points, text
from models.wording import inside, natural_frequency, opening

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from models.community import Community
    from models.decision import Reason
    from models.declared import Language

DOTS_DOWN = 4
DOTS_ACROSS = 25
LANE = 100.0


@dataclass(frozen=True)
class Dot:
    x: int
    y: int
    filled: bool


@dataclass(frozen=True)
class Dots:
    """100 dots, filled column by column; `usual_x` is where the usual number ends, and `anchor` keeps its text within the figure."""

    dots: tuple[Dot, ...]
    usual_x: float
    usual: str
    anchor: str
    label: str
    legend: str


def dots_of(language: Language, probability: float, typical: float) -> Dots:
    """Centres at whole numbers, (0, 0) to (24, 3)."""
    filled, usual = round(100 * probability), round(100 * typical)
    dots = tuple(Dot(i // DOTS_DOWN, i % DOTS_DOWN, i < filled) for i in range(DOTS_DOWN * DOTS_ACROSS))
    said = natural_frequency(language, probability, typical)
    legend = "report.dot_one" if said.out_of == 100 else "report.dot_ten"
    return Dots(
        dots,
        usual_x=usual / DOTS_DOWN - 0.5,
        usual=text(language, "report.usual", typical=said.typical),
        anchor="start" if usual < 8 else "end" if usual > 92 else "middle",
        label=text(language, "report.dots_label", n=filled, typical=usual, out_of=100),
        legend=text(language, legend),
    )


@dataclass(frozen=True)
class Step:
    """One line of the waterfall: the bar from `x` over `width`, and where the running risk stood before and stands after.

    `aside` is the end of the text in brackets, which tells what is usual.
    """

    text: str
    aside: str
    change: str
    after: str
    direction: str
    x: float
    width: float
    before_x: float
    after_x: float


def waterfall(language: Language, probability: float, typical: float, reasons: Sequence[Reason]) -> tuple[Step, ...]:
    """From the usual risk over each reason to the member's: x in 0 to 100, 0 for no risk; the written figures add up too."""
    total = round(1000 * probability) - round(1000 * typical)
    changes = rounded_to_sum([10 * reason.contribution_pp for reason in reasons], total)
    exact = _running(typical, [reason.contribution_pp / 100 for reason in reasons])
    written = _running(round(1000 * typical), changes)
    scale = LANE / (1.04 * max(*exact, probability, 1e-9))
    first = _total(text(language, "report.usual_risk"), typical, scale)
    steps = [
        Step(
            text=statement,
            aside=aside,
            change=points(language, change / 10),
            after=_percent(after / 10),
            direction=reason.direction,
            x=min(start, end) * scale,
            width=abs(end - start) * scale,
            before_x=start * scale,
            after_x=end * scale,
        )
        for reason, change, after, start, end in zip(reasons, changes, written[1:], exact[:-1], exact[1:], strict=True)
        for statement, aside in [_apart(reason.text)]
    ]
    return (first, *steps, _total(text(language, "report.this_member"), probability, scale))


def _apart(sentence: str) -> tuple[str, str]:
    """A sentence without, and with, its last bracket; one that does not end in a bracket has none."""
    at = max(sentence.rfind("("), sentence.rfind("（"))
    return (sentence[:at], sentence[at:]) if at > 0 and sentence.endswith((")", "）")) else (sentence, "")


def _total(label: str, risk: float, scale: float) -> Step:
    at = risk * scale
    return Step(label, "", _percent(round(1000 * risk) / 10), _percent(round(1000 * risk) / 10), "total", 0.0, at, at, at)


def _percent(value: float) -> str:
    return f"{decimal(value, 1)}%"


def _running(start: float, changes: Iterable[float]) -> list[float]:
    totals = [start]
    for change in changes:
        totals.append(totals[-1] + change)
    return totals


def rounded_to_sum(values: Sequence[float], total: int) -> list[int]:
    """Whole numbers near `values` that add up to `total`: what rounding leaves over goes where it changes least."""
    whole = [round(value) for value in values]
    left = total - sum(whole)
    sign = 1 if left > 0 else -1
    by_remainder = sorted(range(len(values)), key=lambda i: sign * (whole[i] - values[i]))
    for step in range(abs(left) if values else 0):
        whole[by_remainder[step % len(values)]] += sign
    return whole


@dataclass(frozen=True)
class Week:
    """Events of one member in the seven days from `start`, one count for each declared signal."""

    start: date
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """Position among the weeks, and height as a share of the tallest of its signal."""

    at: int
    height: float
    title: str


@dataclass(frozen=True)
class Strip:
    """The weeks of one signal."""

    label: str
    bars: tuple[Bar, ...]
    total: str
    most: str


@dataclass(frozen=True)
class Activity:
    strips: tuple[Strip, ...]
    absent: tuple[str, ...]
    weeks: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    labels: tuple[str, ...]


def activity_of(language: Language, community: Community, activity: Sequence[Week]) -> Activity:
    """Signals without any event are named and not drawn."""
    labels = [opening(signal.label.of(language)) for signal in community.signals]
    weeks = tuple(calendar_day(language, week.start) for week in activity)
    seen = [any(week.counts[j] for week in activity) for j in range(len(labels))]
    present = [j for j, some in enumerate(seen) if some]
    return Activity(
        strips=tuple(_strip(language, labels[j], weeks, [week.counts[j] for week in activity]) for j in present),
        absent=tuple(inside(label) for label, some in zip(labels, seen, strict=True) if not some),
        weeks=weeks,
        rows=tuple((day, tuple(week.counts[j] for j in present)) for day, week in zip(weeks, activity, strict=True)),
        labels=tuple(labels[j] for j in present),
    )


def _strip(language: Language, label: str, weeks: Sequence[str], counts: Sequence[int]) -> Strip:
    most = max(counts)
    bars = tuple(Bar(at, count / most, f"{day}: {count}") for at, (day, count) in enumerate(zip(weeks, counts, strict=True)) if count)
    total, peak = (number(language, n) for n in (sum(counts), most))
    return Strip(label, bars, text(language, "report.total", n=total), text(language, "report.most", n=peak))
