"""Writes a declaration as YAML with a comment above each block, for a person to edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.community import Community

TITLE = """\
The declaration of this community, drafted by `keepwell init` from its log. Correct what is wrong, then run `keepwell check`.
Every key may be edited; an unknown or misspelt key is an error. Paths start at the folder of this file.
"""


@dataclass(frozen=True)
class Block:
    """Keys of the declaration that stand together under one comment."""

    keys: tuple[str, ...]
    comment: str


BLOCKS = (
    Block(
        ("format", "name", "language", "currency", "timezone"),
        "language: en or zh, of reasons and reports. Times without an offset are read by the clock of `timezone`.",
    ),
    Block(
        ("log", "members", "touches"),
        """\
Where the tables are and what their columns mean: CSV, CSV.gz, Parquet, or a folder of Parquet.
log: member and time; either type (a column) or type_is (one type for all rows); value, event_id and channel where there are any.
members: attributes must have been fixed at joining; a column measured later leaks the future and must not be named.
timezone, reachable (channel: column) and consents (name: column) are read by rules alone, so they may change; so may groups, by which
people choose members.
The models read attributes: numbers as they are, of labels the frequent ones (from 1 % of the rows, at most 20); others count as "other".
touches: earlier assignments, doing nothing ("none") included, with the probabilities of the arms where they were logged; arms: which
intervention, or none, a text of the table stands for.""",
    ),
    Block(
        ("signals",),
        """\
Which event types count as what. qualifying: true means that such an event keeps a member from being silent.
value: none, money (paid by the member) or quantity (a rating, a length).""",
    ),
    Block(
        ("windows_days", "lookback_days"),
        "Behaviour is counted over each of these windows, in days before the moment of asking; nothing before lookback_days is read.",
    ),
    Block(
        ("churn",),
        """\
A member is gone who has no qualifying event over the horizon (with contract_event: whose contract ends in it).
Asked about are members with a qualifying event in the last active_days and min_history_days of membership. Decisions use horizon_days.""",
    ),
    Block(
        ("value",),
        "What a member is worth over value_days: learned from purchases, or that of the tier. margin: your share of a payment.",
    ),
    Block(
        ("lifecycle",),
        """\
Stages and tags: new for new_days after joining, silent and lost so many days after the last qualifying event.
The last trend_days are set against the time before: growing_ratio and fading_ratio of the rate, or falling below low_weekly_events.
Tiers go by the number of qualifying events in the longest window; value is money over value_days.""",
    ),
    Block(
        ("scenes",),
        """\
Moments in the life of a member that an intervention can be for (eligibility: scenes). Each is the first event of a signal (after_first), a
silence of so many days, a date of the members table every year (on_date), or reaching a tier. It is open for within_hours or within_days,
and over as soon as an intervention for it was assigned: twice as long as the time between two of your runs is a good tolerance.""",
    ),
    Block(
        ("interventions",),
        """\
What may be done for a member. starting_uplift: the change of the probability to stay that you believe in before there are data (0.02 is
2 percentage points); starting_evidence: how many members a trial would need to be worth as much as that belief. cost: money for one
member; incentive_cost: money for one who redeems it, a share of redemption_rate, worth as much as redemption_evidence members seen.
cooldown_days: not again before. valid_days: how long an offer stands. message_class: marketing, mandatory (goes before all that is weighed)
or transactional (goes before that, whatever the limits on contact). eligibility: every rule must hold.""",
    ),
    Block(
        ("contact_policy",),
        """\
How often members may be contacted: at most max_contacts in any days running; nothing is sent in quiet hours, by the member's clock where
the members table tells it; nothing for refusal_cooldown_days after a refusal. opt_in: the consent that a channel needs.""",
    ),
    Block(
        ("policy",),
        """\
exploration: the least probability of every allowed action, so that all can be learned about.
control_share: share of members that get no marketing, so that the effect of the whole can be measured.
caution: 0 weighs the estimated uplift, 1 the lower end of its interval; what is certain to pay wins over what may pay more.""",
    ),
)


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key; labels and lists of plain values stand on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the signature of PyYAML
        super().increase_indent(flow, indentless=False)

    def represent_sequence(self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None) -> yaml.SequenceNode:  # noqa: FBT001 - as above
        values = list(sequence)
        return super().represent_sequence(tag, values, flow_style or not any(isinstance(value, dict) for value in values))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:  # noqa: ANN401, FBT001 - as above
        return super().represent_mapping(tag, mapping, flow_style or set(mapping) == {"en", "zh"})


def declaration_text(community: Community, notes: Mapping[str, tuple[str, ...]]) -> str:
    """notes: by the first key of a block, lines on what was seen, that stand below its comment."""
    content = community.model_dump(mode="json", exclude_none=True)
    parts = [_comment(TITLE)]
    for block in BLOCKS:
        kept = {key: content[key] for key in block.keys if key in content}
        seen = "".join(_comment(note) for note in notes.get(block.keys[0], ()))
        parts.append(f"{_comment(block.comment)}{seen}{_yaml(kept)}")
    return "\n".join(parts)


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10_000)
