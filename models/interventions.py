"""What was assigned to whom before, and what removed a candidate: each refusal with its stage and rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.events import touched
from models.features import ANY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.arrays import Flags, Integers, Names
    from models.decision import RemovalStage

NOT_ASSIGNED, NOT_DRAWN = -1, -1


class Rule(NamedTuple):
    """What removed a candidate.

    At the stage `eligibility` a key of its eligibility, with what it is about where the key holds a list (`days_since.purchase`), or the
    member's status; at `contact_policy` one of `contact_policy.CONTACT_RULES` or the name of a cap; at `control` `global_control`; at
    `arbitration` `mandatory_first` or `lower_priority`.
    """

    stage: RemovalStage
    name: str


@dataclass(frozen=True)
class Refusals:
    """code (n_members, n_interventions): 0 where the candidate stands, else 1 + position in `rules` of the first rule that removed it."""

    rules: tuple[Rule, ...]
    code: Integers

    @property
    def allowed(self) -> Flags:
        standing: Flags = self.code == 0
        return standing

    def rule(self, member: int, intervention: int) -> Rule | None:
        code = int(self.code[member, intervention])
        return self.rules[code - 1] if code else None

    def stands_before(self, stage: RemovalStage) -> Flags:
        """What no earlier stage removed, nothing being asked after `stage`; shape of `code`."""
        at_stage = np.array([True, *(rule.stage == stage for rule in self.rules)])
        standing: Flags = at_stage[self.code]
        return standing

    def then(self, later: Refusals) -> Refusals:
        """What fell at the earlier stage is not asked again."""
        code = self.code
        if later.code.any():
            code = np.where(code, code, np.where(later.code, later.code + len(self.rules), 0))
        return Refusals((*self.rules, *later.rules), code)


Contact = tuple[int, str, str, str, bool]
"""One assignment, by columns of ContactHistory: at_us, channel, intervention, response, undelivered."""


@dataclass(frozen=True)
class ContactHistory:
    """Past assignments, reserved ones too, whoever made them; shape (n_assignments,) each, in any order.

    member: row of the batch that is decided on; at_us: microseconds since 1970 UTC; channel: name, "" where unknown (it counts for `any`
    alone); intervention: id, also one that the catalogue does not have; response: one of `sources.RESPONSES` or "", None where none was
    recorded at all; undelivered: True where it is known not to have reached the member, so that it was no contact, None where all did.
    opted_out: (row, channel), or (row, "any") for all channels. impersonal: rows of members who switched personalisation off. drawn_us
    (n_members,): when chance last decided on the member before it is decided on, NOT_DRAWN where it never did; None where no rule asks.
    """

    member: Integers
    at_us: Integers
    channel: Names
    intervention: Names
    opted_out: tuple[tuple[int, str], ...] = ()
    response: Names | None = None
    undelivered: Flags | None = None
    impersonal: tuple[int, ...] = ()
    drawn_us: Integers | None = None

    @property
    def reached(self) -> Flags:
        """Which of them were contacts, as far as is known."""
        return np.ones(len(self.member), dtype=np.bool_) if self.undelivered is None else ~self.undelivered

    @property
    def refused(self) -> Flags:
        if self.response is None:
            return np.zeros(len(self.member), dtype=np.bool_)
        refused: Flags = self.response == "refused"
        return refused

    @cached_property
    def by_member(self) -> dict[int, tuple[Contact, ...]]:
        """The assignments of each row that has any, in their order."""
        response = np.full(len(self.member), "") if self.response is None else self.response
        columns = (self.at_us, self.channel, self.intervention, response, ~self.reached)
        grouped: dict[int, list[Contact]] = {}
        for member, contact in zip(self.member.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True):
            grouped.setdefault(member, []).append(contact)
        return {member: tuple(contacts) for member, contacts in grouped.items()}

    def refuses_all(self, n_members: int) -> Flags:
        """Members who opted out of every channel, shape (n_members,)."""
        refusing = np.zeros(n_members, dtype=np.bool_)
        refusing[[row for row, channel in self.opted_out if channel == ANY]] = True
        return refusing

    def last_assigned(self, interventions: Iterable[str], n_members: int, as_of_us: int) -> Integers:
        """When any of these was last assigned before `as_of`, delivered or not: (n_members,), NOT_ASSIGNED where none was."""
        last = np.full(n_members, NOT_ASSIGNED, dtype=np.int64)
        rows = [row for intervention in interventions for row in self._rows_of.get(intervention, ())]
        if rows:
            member, at_us = self.member[rows], self.at_us[rows]
            before = at_us < as_of_us
            np.maximum.at(last, member[before], at_us[before])
        return last

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        """Of each intervention the positions of its assignments."""
        rows: dict[str, list[int]] = {}
        for row, intervention in enumerate(self.intervention.tolist()):
            rows.setdefault(intervention, []).append(row)
        return rows

    @classmethod
    def empty(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, str), np.empty(0, str))

    @classmethod
    def of_touches(cls, touches: pl.DataFrame, members: Integers, opted_out: tuple[tuple[int, str], ...] = ()) -> Self:
        """The assignments in an EventLog's touches; members (n,): codes in the log, by row of the batch."""
        rows = pl.DataFrame({"member": members.astype(np.uint32), "row": np.arange(len(members))})
        made = touches.filter(pl.col("intervention") != NO_ACTION).join(rows, on="member")
        pending = made["pending"].fill_null(value=False) if "pending" in made.columns else made["delivered"]
        response = made["response"] if "response" in made.columns else pl.repeat(None, made.height, dtype=pl.String, eager=True)
        return cls(
            made["row"].to_numpy(),
            touched(made).to_physical().to_numpy(),
            made["channel"].cast(pl.String).fill_null("").to_numpy(),
            made["intervention"].cast(pl.String).to_numpy(),
            opted_out,
            response.fill_null("").to_numpy(),
            ~(made["delivered"] | pending).to_numpy(),
        )
