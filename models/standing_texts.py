"""Where members stand as JSON, from columns: what answers and traces tell alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from models.json_texts import NULL, lists, named, numbers, objects, strings, written
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


@dataclass(frozen=True)
class StandingTexts:
    """A text for each row in all of them; `reasons` of each row."""

    standings: Standings
    told_reasons: Sequence[tuple[Reason, ...]]
    language: Language

    @cached_property
    def churn(self) -> Texts:
        """Numbers are null where a member is not scored."""
        standings, engine, assessed = self.standings, self.standings.engine, self.standings.assessed
        scored, declared = standings.scored, engine.community.churn
        typical = written(engine.reference.typical_probability)
        return objects(
            {
                "status": strings(assessed.scores.status.tolist()),
                "horizon_days": [str(declared.horizon_days)] * len(scored),
                "probability": numbers(assessed.probability.tolist()),
                "typical_probability": [typical if known else NULL for known in scored],
                "percentile": numbers(assessed.percentile.tolist()),
                "risk_band": named([standings.risk_band(row) for row in range(len(scored))]),
                "horizons": self._horizons,
                "text": [NULL if known else self._status(row) for row, known in enumerate(scored)],
            }
        )

    @cached_property
    def _horizons(self) -> Texts:
        days = self.standings.engine.community.churn.horizons_days
        risks = numbers(self.standings.assessed.scores.probability.astype(np.float64).ravel().tolist())
        frame = "[" + ",".join(f'{{"days":{each},"probability":%s}}' for each in days) + "]"
        of_each = zip(*(risks[at :: len(days)] for at in range(len(days))), strict=True)
        return [frame % risk if known else "[]" for risk, known in zip(of_each, self.standings.scored, strict=True)]

    def _status(self, row: int) -> str:
        return written(status_sentence(self.language, self.standings.churn(row), self.standings.engine.community))

    @cached_property
    def member(self) -> Texts:
        """Nothing of a member who switched personalisation off."""
        members = self.standings.members
        told = objects(
            {
                "stage": [f'"{one.stage}"' for one in members],
                "tier": strings([one.tier for one in members]),
                "tags": [written(one.tags) for one in members],
                "value": numbers(self.standings.values),
                "value_at_risk": numbers([one.value_at_risk for one in members]),
                "tenure_days": numbers([one.tenure_days for one in members]),
                "days_silent": numbers([one.days_silent for one in members]),
            }
        )
        return [NULL if self.standings.withheld(row) else text for row, text in enumerate(told)]

    @cached_property
    def reasons(self) -> Texts:
        """A list for each row."""
        every = list(chain.from_iterable(self.told_reasons))
        if not every:
            return ["[]"] * len(self.told_reasons)
        code, direction, points, value, typical, text, feature, window = zip(*every, strict=True)
        told = objects(
            {
                "code": strings(code),
                "direction": strings(direction),
                "contribution_pp": numbers(points),
                "value": numbers(value),
                "typical": numbers(typical),
                "feature": named(feature),
                "window_days": numbers(window),
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
