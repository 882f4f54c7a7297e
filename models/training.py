"""From event arrays to an Engine and an honest account of it: horizons, the test, the grade, values and effects."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from models.churn import ChurnModel, HorizonModel
from models.churn_fit import FittedHorizon, fit_horizon
from models.comparison import compare
from models.costs import RedemptionRate, redemption_rates, with_redemption
from models.declared_and_kept import Twice
from models.engine import Engine, Provenance, Reference
from models.engine_files import Golden
from models.errors import NotEnoughData
from models.histories import EventHistories
from models.log_uplift import learn_from_tried
from models.member_sample import Drawn
from models.preparation import fit_preparation
from models.training_rows import THREADS
from models.training_tables import Draws, tables_of
from models.value import TierValue, money_signals
from models.value_fit import SpendingColumns, fit_value

if TYPE_CHECKING:
    import polars as pl

    from models.arrays import Flags, Floats
    from models.churn import Outcome
    from models.community import Community
    from models.comparison import Compared
    from models.evaluation import ChurnMetrics
    from models.events import EventArrays
    from models.log_uplift import UpliftFromLog
    from models.preparation import Preparation
    from models.training_rows import TrainingData
    from models.training_tables import TrainingTables
    from models.value import ValueModel
    from models.value_fit import ValueValidation

CENTRED_ROWS = 10_000
GATHERING = "features of the snapshots"
BLEND = "blend"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class TestedChurn:
    """The main horizon on the test's members, none of whose outcomes were seen before: the blend beside the baselines.

    `in_use` is the blend or, on grade C, the better baseline; `probability` is what it says.
    """

    compared: Compared
    in_use: str
    churned: Flags
    probability: Floats

    @property
    def metrics(self) -> ChurnMetrics:
        """Of what is in use."""
        return self.compared.metrics if self.in_use == BLEND else self.compared.baselines[self.in_use]


@dataclass(frozen=True)
class TestedValue:
    """Expected against actual margin over `value_days` on the test's members; None in `actual` where the log is too short to tell.

    `validation` is there where the value is learned from purchases.
    """

    source: str
    expected: float
    actual: float | None
    validation: ValueValidation | None = None


@dataclass(frozen=True)
class Trained:
    """An engine that is not registered yet, and what was seen while it was made."""

    engine: Engine
    golden: Golden
    test_as_of: datetime
    snapshots: int
    cuts: int
    churn: TestedChurn
    value: TestedValue
    horizons: tuple[FittedHorizon, ...]
    preparation: Preparation
    test_features: Floats
    warnings: tuple[str, ...]
    drawn: Drawn
    uplift: UpliftFromLog | None = None
    redemption: tuple[RedemptionRate, ...] = ()

    @property
    def members(self) -> int:
        return self.churn.metrics.n


def train(
    events: EventArrays,
    community: Community,
    *,
    test_as_of: datetime,
    trained_at: datetime,
    rng: np.random.Generator,
    touches: pl.DataFrame | None = None,
    progress: Progress = lambda _: None,
) -> Trained:
    """As `train_on`, of the events and `touches` of an EventLog, tested on the members of `test_as_of`. Raises what `tables_of` raises."""
    draws = Draws.of(rng)
    progress(GATHERING)
    histories = EventHistories.of(events, community)
    tables = tables_of(histories, community, test_as_of=test_as_of, drawn=Drawn.of(events), touches=touches, draws=draws)
    return train_on(tables, trained_at=trained_at, draws=draws, progress=progress)


def train_on(tables: TrainingTables, *, trained_at: datetime, draws: Draws, progress: Progress = lambda _: None) -> Trained:
    """Learns from cuts whose labels end by the test's date, and is tested on the members of that date. `draws`: those of the tables.

    Effects are learned from the touches up to the end of the log, and so is how often incentives are redeemed: what was tried last teaches
    most, and effects are judged on members whom they were not learned from instead of on later ones.

    Raises NotEnoughData where there is too little to learn or to test.
    """
    data, community = tables.data, tables.data.community
    progress("choice of features")
    preparation = fit_preparation(data.features, (*data.spec.names, *data.attributes.names), data.rows.as_of_us, rng=draws.preparing)
    horizons, warnings = _fit_horizons(data, preparation, tables.drawn.majority_share, draws.fitting, progress)
    progress("test on later outcomes")
    tested = _test_churn(data, _main(horizons, community), draws.testing)
    progress("value of members")
    value, tested_value, value_warnings = _value(tables, preparation, draws.valuing)
    engine = _engine(data, horizons, tested, value, trained_at)
    tried = _Tried(engine)
    if tables.touches is not None:
        progress("effects of the interventions")
        tried = _learn_from_touches(engine, tables, preparation, draws.effects)
        engine = tried.engine
    return Trained(
        engine=engine,
        golden=Golden.of(engine, tables.golden),
        test_as_of=tables.test_as_of,
        snapshots=len(data.rows),
        cuts=len(np.unique(data.rows.as_of_us)),
        churn=tested,
        value=tested_value,
        horizons=horizons,
        preparation=preparation,
        test_features=data.test_features,
        warnings=(*warnings, *value_warnings, *_said_of_touches(tables), *(tried.uplift.warnings if tried.uplift else ())),
        uplift=tried.uplift,
        redemption=tried.redemption,
        drawn=tables.drawn,
    )


def _fit_horizons(
    data: TrainingData, preparation: Preparation, majority_share: float | None, rng: np.random.Generator, progress: Progress
) -> tuple[tuple[FittedHorizon, ...], list[str]]:
    """Horizons side by side; one that cannot be fitted is left out with a warning, unless decisions are made on it."""
    churn = data.community.churn

    def fit(horizon_days: int, child: np.random.Generator) -> FittedHorizon | str:
        try:
            rows = data.labelled(horizon_days)
            return fit_horizon(rows, horizon_days, data.spec, preparation.kept, majority_share=majority_share, rng=child)
        except NotEnoughData as shortage:
            if horizon_days == churn.horizon_days:
                raise
            return f"no {horizon_days}-day risk: {shortage}"

    progress(f"risk over {', '.join(map(str, churn.horizons_days))} days")
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(fit, churn.horizons_days, rng.spawn(len(churn.horizons_days))))
    fitted = tuple(result for result in results if not isinstance(result, str))
    return fitted, [result for result in results if isinstance(result, str)]


def _main(horizons: tuple[FittedHorizon, ...], community: Community) -> FittedHorizon:
    return next(fitted for fitted in horizons if fitted.model.horizon_days == community.churn.horizon_days)


def _test_churn(data: TrainingData, fitted: FittedHorizon, rng: np.random.Generator) -> TestedChurn:
    churned = data.tested
    risks = {name: model.probability(data.test_features) for name, model in {BLEND: fitted.model, **fitted.baselines}.items()}
    baselines = {name: risks[name] for name in fitted.baselines}
    compared = compare(churned, risks[BLEND], baselines, data.test.member, rng=rng)
    in_use = compared.best if compared.grade == "C" else BLEND
    return TestedChurn(compared, in_use, churned, risks[in_use])


def _value(tables: TrainingTables, preparation: Preparation, rng: np.random.Generator) -> tuple[ValueModel, TestedValue, list[str]]:
    data, spending, margin = tables.data, tables.spending, tables.data.community.value.margin
    tiers = TierValue.of(data.community, data.spec)
    told = TestedValue("tiers", float(tiers(data.test_features).mean()), None)
    if spending is None:
        return tiers, told, []
    columns = SpendingColumns.of(data.spec, preparation.kept, money_signals(data.community))
    try:
        fitted = fit_value(spending, data.rows, data.features, columns, data.community, rng=rng)
    except NotEnoughData as shortage:
        return tiers, told, [f"values of tiers are used: {shortage}"]
    actual = None if spending.tested is None else margin * float(spending.tested.mean())
    return (
        fitted.model,
        TestedValue("purchases", float(fitted.model(data.test_features).mean()), actual, fitted.validation),
        list(fitted.warnings),
    )


@dataclass(frozen=True)
class _Tried:
    """The engine with what the touches told."""

    engine: Engine
    uplift: UpliftFromLog | None = None
    redemption: tuple[RedemptionRate, ...] = ()


def _learn_from_touches(engine: Engine, tables: TrainingTables, preparation: Preparation, rng: np.random.Generator) -> _Tried:
    if tables.touches is None or tables.tried is None:
        return _Tried(engine)
    redemption = redemption_rates(tables.touches, tables.data.community, until_us=tables.data.log_end_us)
    costed = replace(engine, community=with_redemption(engine.community, redemption))
    with threadpool_limits(1, user_api="blas"):
        uplift = learn_from_tried(costed, tables.tried, preparation.kept, rng=rng)
    return _Tried(replace(costed, learned_uplift=uplift.uplift), uplift, redemption)


def _said_of_touches(tables: TrainingTables) -> tuple[str, ...]:
    return tuple(map(str, Twice.of(tables.touches, tables.data.community).statements))


def _engine(
    data: TrainingData, horizons: tuple[FittedHorizon, ...], tested: TestedChurn, value: ValueModel, trained_at: datetime
) -> Engine:
    """The declaration in the engine names the horizons that could be fitted."""
    used: list[HorizonModel] = [fitted.model if tested.in_use == BLEND else fitted.baselines[tested.in_use] for fitted in horizons]
    outcome: Outcome = "silence" if data.community.churn.contract_event is None else "contract_end"
    churn = ChurnModel(tuple(used), data.community.churn.horizon_days, outcome)
    declared = data.community.churn.model_copy(update={"horizons_days": churn.horizons_days})
    told = churn.contributions(data.test_features[:: 1 + len(data.test_features) // CENTRED_ROWS])
    centre = told.values.mean(axis=0)
    typical = churn.typical_probability(told.base + float(centre.sum()))
    reference = Reference.of(data.test_features, tested.probability, typical, centre, data.attributes)
    through = datetime.fromtimestamp(data.test_as_of_us / 1e6, tz=UTC)
    return Engine(
        community=data.community.model_copy(update={"churn": declared}),
        spec=data.spec,
        churn=churn,
        value=value,
        reference=reference,
        provenance=Provenance(trained_at, through, tested.compared.grade, tested.in_use),
        baselines=_main(horizons, data.community).baselines,
        attributes=data.attributes,
    )
