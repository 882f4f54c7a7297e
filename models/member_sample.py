"""A share of the members, whole, by a salted hash of their ids: the same wherever and in whatever order they are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.errors import InputError
from models.policy import draws_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags
    from models.events import EventArrays

SAMPLE_SALT = "training_sample"


@dataclass(frozen=True)
class MemberSample:
    """Who is in it depends on nothing that a member did or got, so that what is learned from it holds for all: only the errors grow.

    A larger share keeps the members of a smaller one. The salt is none of an arm's or a control's, which a sample must not lean to.
    """

    share: float
    salt: str = SAMPLE_SALT

    @classmethod
    def of(cls, asked: float, members: int) -> Self:
        """`asked` up to 1 is a share; above, about so many of `members`. Raises InputError for what is neither."""
        if not asked > 0:
            message = f"a sample of {asked:g} members cannot be learned from; give a share up to 1, such as 0.1, or a number of members"
            raise InputError(message)
        return cls(asked if asked <= 1 else min(1.0, asked / max(members, 1)))

    @property
    def everyone(self) -> bool:
        return self.share >= 1

    def picks(self, member_ids: Sequence[str]) -> Flags:
        """Shape (n,): `policy.draw_of` the salt and the id lies below the share."""
        if self.everyone:
            return np.ones(len(member_ids), dtype=np.bool_)
        picked: Flags = draws_of(f"{self.salt}:{member_id}" for member_id in member_ids) < self.share
        return picked


EVERYONE = MemberSample(1.0)


@dataclass(frozen=True)
class Drawn:
    """What is learned from, of all there is.

    The `sample` was drawn from so many `members`; `first_us`, `last_us`: of what the event arrays of them all hold. `majority_share`:
    of the rows of the commoner outcome those that risks are fitted on, as of `undersample_share`.
    """

    sample: MemberSample
    members: int
    first_us: int
    last_us: int
    majority_share: float | None = None

    @classmethod
    def of(cls, events: EventArrays, sample: MemberSample = EVERYONE, majority_share: float | None = None) -> Self:
        """From all members of these arrays; raises InputError where no event is of a declared signal."""
        if len(events.timestamp_us) == 0:
            message = "no event of the log belongs to a declared signal; see `signals` in the declaration"
            raise InputError(message)
        return cls(sample, events.n_members, int(events.timestamp_us.min()), int(events.timestamp_us.max()), majority_share)
