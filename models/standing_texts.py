"""Where members stand as JSON, from columns: what answers and traces tell alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.json_texts import NULL, columns, lists, named, objects, strings, word, written
from models.once import Once
from models.standings import Standings, last_event_us, reasons_by_row
from models.weighing import assess
from models.wording import status_sentence

if TYPE_CHECKING:
    from models.decision import Reason
    from models.declared import Language
    from models.engine import Engine
    from models.events import EventArrays
    from models.json_texts import Texts
    from models.snapshots import Snapshots
    from models.standings import Explain


class _Frames(NamedTuple):
    """Of a risk, to be filled with the probability, the percentile, the band, and the probability of each horizon; else with why not."""

    scored: str
    other: str


@Once
def _frames(engine: Engine) -> _Frames:
    declared = engine.community.churn
    names = ("status", "horizon_days", "probability", "typical_probability", "percentile", "risk_band", "horizons", "text")
    horizons = ",".join(f'{{"days":{days},"probability":%s}}' for days in declared.horizons_days)
    typical, days = written(engine.reference.typical_probability), str(declared.horizon_days)
    scored = ('"scored"', days, "%s", typical, "%s", "%s", f"[{horizons}]", NULL)
    other = ("%s", days, NULL, NULL, NULL, NULL, "[]", "%s")
    return _Frames(*("{" + ",".join(f'"{name}":{told}' for name, told in zip(names, of, strict=True)) + "}" for of in (scored, other)))


@dataclass(frozen=True)
class StandingTexts:
    """A text for each row in all of them; `reasons` of each row."""

    standings: Standings
    told_reasons: Sequence[tuple[Reason, ...]]
    language: Language

    @cached_property
    def churn(self) -> Texts:
        """Numbers are null where a member is not scored."""
        standings, assessed, frames = self.standings, self.standings.assessed, _frames(self.standings.engine)
        horizons = assessed.scores.probability.T.astype(np.float64).tolist()
        probability, percentile, *by_horizon = columns(assessed.probability.tolist(), assessed.percentile.tolist(), *horizons)
        bands = named([standings.risk_band(row) for row in range(len(standings.scored))])
        figures = zip(probability, percentile, bands, *by_horizon, strict=True)
        each = enumerate(zip(standings.scored, figures, strict=True))
        return [frames.scored % told if scored else frames.other % self._status(row) for row, (scored, told) in each]

    def _status(self, row: int) -> tuple[str, str]:
        churn = self.standings.churn(row)
        return word(churn.status), word(status_sentence(self.language, churn, self.standings.engine.community))

    @cached_property
    def member(self) -> Texts:
        """Nothing of a member who switched personalisation off."""
        members = self.standings.members
        value, at_risk, tenure, silent = columns(
            self.standings.values,
            [one.value_at_risk for one in members],
            [one.tenure_days for one in members],
            [one.days_silent for one in members],
        )
        told = objects(
            {
                "stage": [f'"{one.stage}"' for one in members],
                "tier": named([one.tier for one in members]),
                "tags": [written(one.tags) if one.tags else "[]" for one in members],
                "value": value,
                "value_at_risk": at_risk,
                "tenure_days": tenure,
                "days_silent": silent,
            }
        )
        return [NULL if self.standings.withheld(row) else text for row, text in enumerate(told)]

    @cached_property
    def reasons(self) -> Texts:
        """A list for each row."""
        every = list(chain.from_iterable(self.told_reasons))
        if not every:
            return ["[]"] * len(self.told_reasons)
        code, direction, *figures, text, feature, window = zip(*every, strict=True)
        points, value, typical, window_days = columns(*figures, window)
        told = objects(
            {
                "code": named(code),
                "direction": named(direction),
                "contribution_pp": points,
                "value": value,
                "typical": typical,
                "feature": named(feature),
                "window_days": window_days,
                "text": strings(text),
            }
        )
        return lists(told, map(len, self.told_reasons))


def stand(
    engine: Engine,
    events: EventArrays,
    snapshots: Snapshots,
    member_ids: Sequence[str],
    *,
    language: Language,
    explain: Explain | None = None,
    impersonal: tuple[int, ...] = (),
) -> StandingTexts:
    """What `decide` would say of where each member stands, without weighing what to do; `impersonal` as of `ContactHistory`."""
    assessed = assess(engine, events, snapshots, member_ids, impersonal)
    standings = Standings(engine, assessed, last_event_us(events, snapshots, len(engine.community.signals)))
    return StandingTexts(standings, reasons_by_row(engine, assessed, language, explain), language)
