"""Parts of the members in turn: what the parts before have taught is judged on the next, which taught none of it.

Across folds two parts teach the rules that are judged on each other. Where members do not differ, either finds in the other the noise that
it brought there, and intervals that take the parts for independent leave out 0 up to twice as often as they say. In turn, the error of a
part has mean 0 given all parts before it, whatever they taught: a martingale, whose variance is the sum of those of the parts (Luedtke
and van der Laan 2016, Annals of Statistics 44, 713-742; Wager 2024, "Sequential Validation of Treatment Heterogeneity").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.calibration_fit import assign_folds
from models.trial import MANY_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.arrays import Flags, Integers

PARTS, PARTS_OF_MANY = 8, 5
"""A rule is learned for each but the first, from half of the rows on average."""


def parts_of(unit: Integers, *, rng: np.random.Generator) -> Integers:
    """(n,): 0 for the part that only teaches, then each in its turn; rows of one unit share theirs."""
    codes = np.unique(unit, return_inverse=True)[1].astype(np.int64)
    return assign_folds(codes, rng=rng, n_folds=PARTS_OF_MANY if len(unit) > MANY_ROWS else PARTS)


def turns(part: Integers) -> Iterator[tuple[Flags, Flags]]:
    """Rows to learn from, and those to judge on."""
    for number in range(1, int(part.max()) + 1):
        yield part < number, part == number
