"""What a roll-out says, in figures and in sentences: what the command line prints, the service answers and the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from models.experiment_wording import check_sentence, written_estimate
from models.moments import EPOCH
from models.rollout_comparison import FEWEST
from models.rollouts import WHOLE, shown
from models.texts import decimal, estimate, listed, moment, number, plural, sentences, share, text

if TYPE_CHECKING:
    from models.community import Community
    from models.declared import Language
    from models.intervals import Estimate
    from models.rollout_comparison import Comparison, Row, RowVerdict
    from models.rollout_reading import KeptComparison
    from models.rollouts import ProcessSeen, Rollout
    from models.second_opinion import Agreement

ROWS = {
    "retention": "rollout.row_retention",
    "contributions": "rollout.row_contributions",
    "value": "rollout.row_value",
    "refusals": "rollout.row_refusals",
    "opt_outs": "rollout.row_opt_outs",
    "contacts": "rollout.row_contacts",
    "cost": "rollout.row_cost",
}
JUDGED: dict[RowVerdict, str] = {
    "better": "rollout.row_better",
    "worse": "rollout.row_worse",
    "no_worse": "rollout.row_no_worse",
    "open": "rollout.row_open",
    "waiting": "rollout.row_waiting",
}


class Asked(NamedTuple):
    """Whose figures, and the language in which they are told."""

    community: Community
    language: Language


RATES, MONEY = ("retention", "refusals", "opt_outs"), ("value", "cost")
SLOW_DAYS = 730


def comparison_dict(kept: KeptComparison, community: Community, language: Language) -> dict[str, Any]:
    """Every figure; `label` and `text` are in the language."""
    told = kept.comparison
    return {
        "read_at": shown_second(kept),
        "share": told.percent,
        "since": shown(told.since_us),
        "until": shown(told.until_us),
        "level": told.level,
        "members": list(told.check.observed),
        "sample_ratio": {"p": told.check.p, "mismatch": told.check.mismatch, "text": check_sentence(told.check, language)},
        "followed": list(told.followed),
        "followed_text": followed_sentence(told, language),
        "verdict": told.verdict,
        "rows": [_row(row, community, language) for row in told.rows],
    }


def shown_second(kept: KeptComparison) -> str:
    return kept.read_at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _row(row: Row, community: Community, language: Language) -> dict[str, Any]:
    figures = ("name", "days", "members", "champion_members", "mean", "champion_mean", "tolerance", "members_needed", "days_needed")
    return {
        **{name: getattr(row, name) for name in figures},
        "difference": None if row.difference is None else row.difference.value,
        "interval": None if row.difference is None else row.difference.interval,
        "verdict": row.verdict,
        "label": label(row, language),
        "text": row_sentence(row, community, language),
    }


def label(row: Row, language: Language) -> str:
    """Of two horizons of retention each with its days."""
    name = text(language, ROWS[_base(row.name)])
    return text(language, "rollout.over", name=name, days=plural(language, "unit.days", row.days)) if row.days else name


def row_sentence(row: Row, community: Community, language: Language) -> str:
    given = {"name": label(row, language), "fewest": number(language, FEWEST), "days": plural(language, "unit.days", row.days)}
    if row.difference is not None:
        given |= {"difference": difference_text(row, row.difference, community, language)}
    return text(language, JUDGED[row.verdict] if row.days or row.verdict != "waiting" else "rollout.row_few", **given)


def difference_text(row: Row, told: Estimate, community: Community, language: Language) -> str:
    value, low, high = written_estimate(kind_of(row.name), told, language=language, currency=community.currency)
    return estimate(language, value, low, high)


def headline(rollout: Rollout, kept: KeptComparison | None, community: Community, language: Language) -> str:
    """What is known, in one sentence."""
    if kept is None:
        whole = rollout.stages[0].percent >= WHOLE
        return text(language, "rollout.nothing_left", version=rollout.challenger) if whole else text(language, "rollout.not_read")
    told, version = kept.comparison, rollout.challenger
    if told.verdict == "not_readable":
        return text(language, "rollout.not_readable", check=check_sentence(told.check, language))
    if told.verdict == "harm":
        what = listed(language, [f"{label(row, language)} {_difference(row, community, language)}" for row in told.harms])
        harm = text(language, "rollout.harm", version=version, what=what)
        return sentences(language, [harm, check_sentence(told.check, language)]) if told.check.mismatch else harm
    if told.verdict == "not_yet":
        return text(language, "rollout.nothing_decided") if _decided_nothing(told) else not_yet(told, language)
    key = "rollout.better" if told.verdict == "better" else "rollout.no_worse"
    return text(language, key, version=version, difference=_difference(told.rows[0], community, language))


def watched_sentences(rollout: Rollout, kept: KeptComparison | None, asked: Asked, *, ended: bool, refused: int) -> str:
    """As the monitor tells it: whether it was `ended` for harm, and how many processes `refused` the challenger."""
    told = [headline(rollout, kept, asked.community, asked.language)]
    if ended:
        told.append(text(asked.language, "rollout.was_rolled_back"))
    if refused:
        told.append(plural(asked.language, "rollout.processes_refused", refused, version=rollout.challenger))
    return sentences(asked.language, told)


def not_yet(told: Comparison, language: Language) -> str:
    """How many members, or days, are missing."""
    first = told.rows[0]
    there = number(language, first.members + first.champion_members)
    if first.verdict == "waiting":
        given = {"fewest": number(language, FEWEST), "days": plural(language, "unit.days", first.days)}
        return text(
            language, "rollout.too_few", mine=number(language, first.members), theirs=number(language, first.champion_members), **given
        )
    if first.members_needed is None:
        return text(language, "rollout.open", members=there)
    more = max(0, first.members_needed - first.members - first.champion_members)
    if not more:
        return text(language, "rollout.enough", members=there)
    if first.days_needed is None or first.days_needed > SLOW_DAYS:
        return text(language, "rollout.more_members", members=there, more=number(language, more))
    days = plural(language, "unit.days", first.days_needed)
    return text(language, "rollout.more_days", members=there, more=number(language, more), days=days)


def todo(rollout: Rollout, told: Comparison | None, language: Language) -> str:
    """What to do now; empty where the roll-out has ended."""
    if rollout.state != "running":
        return ""
    if told is not None and told.verdict in {"harm", "not_readable"}:
        return text(language, "rollout.todo_back")
    if told is None or told.verdict in {"better", "no_worse"}:
        return text(language, "rollout.todo_finish")
    return text(language, "rollout.todo_decide" if _decided_nothing(told) else "rollout.todo_wait")


def _decided_nothing(told: Comparison) -> bool:
    """There were decisions on the challenger's members, and none was its own."""
    return told.followed[1] == 0


def followed_sentence(told: Comparison, language: Language) -> str:
    """Empty where nothing was decided."""
    champion, challenger = told.followed
    if champion is None or challenger is None:
        return ""
    return text(language, "rollout.followed", champion=share(champion), challenger=share(challenger))


def state_sentence(rollout: Rollout, asked: Asked) -> str:
    last = rollout.stages[-1]
    key = {"running": "rollout.running", "finished": "rollout.finished", "rolled_back": "rollout.rolled_back"}[rollout.state]
    given = {"id": rollout.rollout_id, "challenger": rollout.challenger, "champion": rollout.champion}
    times = {"since": _at(last.since_us, asked), "ended": ended(rollout, asked)}
    return text(asked.language, key, share=percent_text(last.percent), **times, **given)


def none_running(last: Rollout | None, kept: KeptComparison | None, asked: Asked) -> str:
    """How the `last` one ended and what it had shown, where there was one, and how to start another."""
    none = text(asked.language, "rollout.none")
    if last is None:
        return none
    decided = kept is not None and kept.comparison.verdict != "not_yet"
    showed = [headline(last, kept, asked.community, asked.language)] if decided else []
    return sentences(asked.language, [state_sentence(last, asked), *showed, none])


def ended(rollout: Rollout, asked: Asked) -> str:
    return "" if rollout.ended_us is None else _at(rollout.ended_us, asked)


def _at(at_us: int, asked: Asked) -> str:
    """By the community's clock."""
    return moment(asked.language, (EPOCH + timedelta(microseconds=at_us)).astimezone(asked.community.zone))


def percent_text(percent: float) -> str:
    return f"{decimal(percent, 0 if percent == round(percent) else 1)}%"


def _difference(row: Row, community: Community, language: Language) -> str:
    return "" if row.difference is None else difference_text(row, row.difference, community, language)


def _base(name: str) -> str:
    return "retention" if name.startswith("retention") else name


def kind_of(name: str) -> str:
    """As experiments write such a figure."""
    return "retention" if _base(name) in RATES else "value" if name in MONEY else "count"


def status_dict(
    rollout: Rollout, processes: Sequence[ProcessSeen], kept: KeptComparison | None, agreement: Agreement | None, asked: Asked
) -> dict[str, Any]:
    """What `keepwell rollout status --json` prints and `GET /v1/rollouts/current` answers."""
    comparison = None if kept is None else kept.comparison
    return {
        "rollout": rollout.to_dict(),
        "text": state_sentence(rollout, asked),
        "verdict_text": headline(rollout, kept, asked.community, asked.language),
        "todo": todo(rollout, comparison, asked.language),
        "processes": [{"process": one.process, "share": one.percent, "refused": one.error} for one in processes],
        "comparison": None if kept is None else comparison_dict(kept, asked.community, asked.language),
        "shadow": None if agreement is None or not agreement.decisions else asdict(agreement),
    }
