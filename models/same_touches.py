"""Which rows of the declared touches the service keeps too: one rule, for the log as for the store, so that each counts once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from models.community import DAY_US
from models.events import NEVER_US
from models.features import lower_bound

if TYPE_CHECKING:
    from models.arrays import Flags, Integers, Names

Told = Literal["by_id", "by_time", "id_unknown", "near"]
"""How a declared touch was found among those of the service; or, of one that was not, why somebody should look at it."""
OWN, NAMELESS = -1, -1
NEAR_US = DAY_US


@dataclass(frozen=True)
class DeclaredTouches:
    """group (n,): code of the member and the intervention together; at_us (n,); name (n,): code of the id that it names, NAMELESS for none.

    response and channel (n,): "" where none is told.
    """

    group: Integers
    at_us: Integers
    name: Integers
    delivered: Flags
    response: Names
    channel: Names


@dataclass(frozen=True)
class KeptTouches:
    """Of the service, decisions and contacts of other systems; groups as of DeclaredTouches.

    decided_us and reached_us (n,): the same where nobody told when it reached the member; reported (n,): whether anybody did.
    name (m,) and name_of (m,): codes of ids by which these are known, and the row of each.
    """

    group: Integers
    decided_us: Integers
    reached_us: Integers
    reported: Flags
    delivered: Flags
    response: Names
    channel: Names
    name: Integers
    name_of: Integers


class Same(NamedTuple):
    """row (n,): of each declared touch the row of the kept one that it is, OWN where it is none; told (n,): as Told, "" for nothing."""

    row: Integers
    told: Names


def same_touches(declared: DeclaredTouches, kept: KeptTouches, within_us: int) -> Same:
    """Of one member and one intervention, a declared touch is that of the service which it names by an id.

    One that names none which is known there is the nearest that was decided on, or reached the member, within so long.
    """
    named = _by_name(declared, kept)
    timed, away_us = _nearest(declared, kept)
    row = np.where(named != OWN, named, np.where(away_us <= within_us, timed, OWN))
    told = np.select(
        [named != OWN, row != OWN, declared.name != NAMELESS, away_us <= NEAR_US], ["by_id", "by_time", "id_unknown", "near"], default=""
    )
    return Same(row, told)


def with_what_is_declared(kept: KeptTouches, declared: DeclaredTouches, row: Integers) -> KeptTouches:
    """What was reported holds; what was not is as the declared touches tell it, each as in `Same.row`.

    That one did not arrive is told by none of them, for an export of what nobody reported yet says so too.
    """
    found = np.flatnonzero(row != OWN)
    found = found[np.argsort(declared.at_us[found], kind="stable")]
    of, at_us = row[found], declared.at_us[found]
    came = declared.delivered[found] & ~kept.reported[of]
    first = np.full(len(kept.group), NEVER_US)
    np.minimum.at(first, of[came], at_us[came])
    arrived = first != NEVER_US
    return replace(
        kept,
        reached_us=np.where(arrived, first, kept.reached_us),
        delivered=kept.delivered | arrived,
        response=_filled(kept.response, of, declared.response[found]),
        channel=_filled(kept.channel, of, declared.channel[found]),
    )


def _filled(held: Names, of: Integers, said: Names) -> Names:
    """Where nothing is held the last that was said."""
    told = held.astype(object)
    told[of[said != ""]] = said[said != ""]
    return np.where(held == "", told, held)


def _by_name(declared: DeclaredTouches, kept: KeptTouches) -> Integers:
    """The row of the kept one that each names, shape (n,)."""
    group = kept.group[kept.name_of]
    order = np.lexsort((kept.name, group))
    names = np.append(kept.name[order], NAMELESS)
    _, end, place = _places(group[order], names, declared.group, declared.name)
    met = (declared.name != NAMELESS) & (place < end) & (names[place] == declared.name)
    return np.where(met, np.append(kept.name_of[order], OWN)[place], OWN)


def _nearest(declared: DeclaredTouches, kept: KeptTouches) -> tuple[Integers, Integers]:
    """The row of the kept one that is nearest in time, and by how much it is away, NEVER_US where there is none; shape (n,) each."""
    group, at_us = np.tile(kept.group, 2), np.concatenate([kept.decided_us, kept.reached_us])
    order = np.lexsort((at_us, group))
    moments, rows = np.append(at_us[order], NEVER_US), np.append(np.tile(np.arange(len(kept.group)), 2)[order], OWN)
    begin, end, place = _places(group[order], moments, declared.group, declared.at_us)
    after = np.where(place < end, moments[place] - declared.at_us, NEVER_US)
    before = np.where(place > begin, declared.at_us - moments[place - 1], NEVER_US)
    nearest = np.where(before <= after, place - 1, place)
    away_us = np.minimum(before, after)
    return np.where(away_us != NEVER_US, rows[nearest], OWN), away_us


def _places(groups: Integers, values: Integers, group: Integers, value: Integers) -> tuple[Integers, Integers, Integers]:
    """Where each group begins and ends in the sorted `groups`, and the first place in it with that value or a higher one."""
    begin, end = (np.searchsorted(groups, group, side=side) for side in ("left", "right"))
    return begin, end, lower_bound(values, begin, end, value)
