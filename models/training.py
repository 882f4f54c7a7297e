"""From event arrays to an Engine and an honest account of it: cuts, rows, horizons, the test, the grade."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from models.attribute_fit import fit_attributes
from models.attributes import AttributeEncoding, feature_matrix
from models.churn import ChurnModel, HorizonModel
from models.churn_fit import FittedHorizon, TrainingRows, fit_horizon
from models.community import DAY_US
from models.comparison import compare
from models.costs import RedemptionRate, redemption_rates, with_redemption
from models.engine import Engine, Provenance, Reference
from models.engine_files import Golden
from models.errors import InputError, NotEnoughData
from models.features import feature_spec
from models.learned_uplift import learn_uplift
from models.preparation import fit_preparation
from models.snapshots import Activity, cuts_back_from, label_churn, last_usable_cut, pool, population
from models.value import TierValue, spent_after
from models.value_fit import SpendingColumns, fit_value, money_signals

if TYPE_CHECKING:
    import polars as pl

    from models.arrays import Flags, Floats
    from models.churn import Outcome
    from models.community import Community
    from models.comparison import Compared
    from models.evaluation import ChurnMetrics
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.learned_uplift import UpliftFromLog
    from models.preparation import Preparation
    from models.snapshots import Snapshots
    from models.value import ValueModel
    from models.value_fit import ValueValidation

MOST_CUTS = 26
MOST_ROWS = 300_000
THREADS = 2
CENTRED_ROWS = 10_000
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
    uplift: UpliftFromLog | None = None
    redemption: tuple[RedemptionRate, ...] = ()

    @property
    def members(self) -> int:
        return self.churn.metrics.n


@dataclass(frozen=True)
class _Data:
    """The rows to learn from, and the test's members."""

    community: Community
    spec: FeatureSpec
    attributes: AttributeEncoding
    events: EventArrays
    activity: Activity
    log_end_us: int
    test_as_of_us: int
    rows: Snapshots
    features: Floats
    test: Snapshots
    test_features: Floats


def default_test_as_of(events: EventArrays, community: Community) -> datetime:
    """The last midnight, by the community's clock, whose whole decision horizon is in the log."""
    latest = last_usable_cut(_log_end_us(events), community.churn.horizon_days)
    local = datetime.fromtimestamp(latest / 1e6, tz=UTC).astimezone(community.zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


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
    """Learns from cuts whose labels end by `test_as_of`, and is tested on the members of `test_as_of`.

    Effects are learned from `touches`, those of the EventLog, where the outcome of the assignment lies before that date too, and how
    often incentives are redeemed where the offer had ended by then.

    Raises InputError where the log does not hold the test's outcome, NotEnoughData where there is too little to learn or to test.
    """
    sampling, preparing, fitting, testing, valuing, golden_rng, uplifting = rng.spawn(7)
    progress("features of the snapshots")
    data = _gather(events, community, int(test_as_of.timestamp()) * 1_000_000, sampling)
    progress("choice of features")
    preparation = fit_preparation(data.features, (*data.spec.names, *data.attributes.names), data.rows.as_of_us, rng=preparing)
    horizons, warnings = _fit_horizons(data, preparation, fitting, progress)
    progress("test on later outcomes")
    tested = _test_churn(data, _main(horizons, community), testing)
    progress("value of members")
    value, tested_value, value_warnings = _value(data, preparation, valuing)
    engine = _engine(data, horizons, tested, value, trained_at)
    uplift: UpliftFromLog | None = None
    redemption: tuple[RedemptionRate, ...] = ()
    if touches is not None and community.touches is not None:
        redemption = redemption_rates(touches, community, until_us=data.test_as_of_us)
        engine = replace(engine, community=with_redemption(engine.community, redemption))
        progress("effects of the interventions")
        with threadpool_limits(1, user_api="blas"):
            uplift = learn_uplift(engine, events, touches, preparation.kept, until_us=data.test_as_of_us, rng=uplifting)
        engine = replace(engine, learned_uplift=uplift.uplift)
    golden = Golden.of(engine, events, data.test, golden_rng)
    return Trained(
        engine=engine,
        golden=golden,
        test_as_of=test_as_of,
        snapshots=len(data.rows),
        cuts=len(np.unique(data.rows.as_of_us)),
        churn=tested,
        value=tested_value,
        horizons=horizons,
        preparation=preparation,
        test_features=data.test_features,
        warnings=(*warnings, *value_warnings, *(uplift.warnings if uplift else ())),
        uplift=uplift,
        redemption=redemption,
    )


def _log_end_us(events: EventArrays) -> int:
    if len(events.timestamp_us) == 0:
        message = "no event of the log belongs to a declared signal; see `signals` in the declaration"
        raise InputError(message)
    return int(events.timestamp_us.max())


def _gather(events: EventArrays, community: Community, test_as_of_us: int, rng: np.random.Generator) -> _Data:
    spec = feature_spec(community)
    log_end = _log_end_us(events)
    _check_test_date(test_as_of_us, log_end, community)
    activity = Activity.of(events, np.array([*(use.qualifying for use in spec.signals), False]))
    cuts = _cuts(int(events.timestamp_us.min()), test_as_of_us, community)
    rows = _capped(pool([population(activity, cut, community.churn) for cut in cuts]), rng)
    test = population(activity, test_as_of_us, community.churn)
    attributes = fit_attributes(events.attributes, rows.member)
    features, test_features = (feature_matrix(events, asked, spec, attributes, threads=THREADS) for asked in (rows, test))
    return _Data(community, spec, attributes, events, activity, log_end, test_as_of_us, rows, features, test, test_features)


def _check_test_date(test_as_of_us: int, log_end_us: int, community: Community) -> None:
    latest = last_usable_cut(log_end_us, community.churn.horizon_days)
    if test_as_of_us > latest:
        message = (
            f"test date {_day(test_as_of_us)}: its {community.churn.horizon_days}-day outcome is not in the log, "
            f"which ends {_day(log_end_us)}; the latest date that can be tested is {_day(latest)}"
        )
        raise InputError(message)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).date().isoformat()


def _cuts(log_start_us: int, test_as_of_us: int, community: Community) -> list[int]:
    """A quarter of the decision horizon apart (3 to 30 days); the shorter horizons get later cuts as well, whose labels end by the test."""
    churn = community.churn
    step = int(np.clip(churn.horizon_days // 4, 3, 30))
    latest = test_as_of_us - churn.horizon_days * DAY_US
    needed = max(churn.active_days, churn.horizon_days) * DAY_US // 2
    earliest = log_start_us + min(needed, max(latest - log_start_us, 0))
    cuts = cuts_back_from(latest, earliest, step, MOST_CUTS)
    if not cuts:
        message = (
            f"the log begins {_day(log_start_us)}; a test on {_day(test_as_of_us)} with a horizon of {churn.horizon_days} days "
            f"leaves nothing to learn from: it must begin before {_day(latest)}. "
            "Bring a longer log, choose a later test date or a shorter horizon"
        )
        raise NotEnoughData(message)
    later = range(latest + step * DAY_US, test_as_of_us - churn.horizons_days[0] * DAY_US + 1, step * DAY_US)
    return [*cuts, *later]


def _capped(rows: Snapshots, rng: np.random.Generator) -> Snapshots:
    """All snapshots of so many members drawn at random that about 300,000 remain."""
    if len(rows) <= MOST_ROWS:
        return rows
    drawn = rng.random(int(rows.member.max()) + 1) < MOST_ROWS / len(rows)
    return rows[np.flatnonzero(drawn[rows.member])]


def _fit_horizons(
    data: _Data, preparation: Preparation, rng: np.random.Generator, progress: Progress
) -> tuple[tuple[FittedHorizon, ...], list[str]]:
    """Horizons side by side; one that cannot be fitted is left out with a warning, unless decisions are made on it."""
    churn = data.community.churn

    def fit(horizon_days: int, child: np.random.Generator) -> FittedHorizon | str:
        try:
            return fit_horizon(_labelled(data, horizon_days), horizon_days, data.spec, preparation.kept, rng=child)
        except NotEnoughData as shortage:
            if horizon_days == churn.horizon_days:
                raise
            return f"no {horizon_days}-day risk: {shortage}"

    progress(f"risk over {', '.join(map(str, churn.horizons_days))} days")
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(fit, churn.horizons_days, rng.spawn(len(churn.horizons_days))))
    fitted = tuple(result for result in results if not isinstance(result, str))
    return fitted, [result for result in results if isinstance(result, str)]


def _labelled(data: _Data, horizon_days: int) -> TrainingRows:
    """Snapshots whose label at this horizon ends by the test date."""
    known = np.flatnonzero(data.rows.as_of_us + horizon_days * DAY_US <= data.test_as_of_us)
    rows = data.rows[known]
    churned = label_churn(data.activity, rows, horizon_days, data.community.churn)
    features = data.features if len(known) == len(data.rows) else data.features[known]
    return TrainingRows(features, churned, rows.member, rows.as_of_us)


def _main(horizons: tuple[FittedHorizon, ...], community: Community) -> FittedHorizon:
    return next(fitted for fitted in horizons if fitted.model.horizon_days == community.churn.horizon_days)


def _test_churn(data: _Data, fitted: FittedHorizon, rng: np.random.Generator) -> TestedChurn:
    churned = label_churn(data.activity, data.test, fitted.model.horizon_days, data.community.churn)
    risks = {name: model.probability(data.test_features) for name, model in {BLEND: fitted.model, **fitted.baselines}.items()}
    baselines = {name: risks[name] for name in fitted.baselines}
    compared = compare(churned, risks[BLEND], baselines, data.test.member, rng=rng)
    in_use = compared.best if compared.grade == "C" else BLEND
    return TestedChurn(compared, in_use, churned, risks[in_use])


def _value(data: _Data, preparation: Preparation, rng: np.random.Generator) -> tuple[ValueModel, TestedValue, list[str]]:
    declared = data.community.value
    tiers = TierValue.of(data.community, data.spec)
    told = TestedValue("tiers", float(tiers(data.test_features).mean()), None)
    if declared.source == "tiers":
        return tiers, told, []
    money = money_signals(data.community)
    columns = SpendingColumns.of(data.spec, preparation.kept, money)
    try:
        fitted = fit_value(data.events, data.rows, data.features, columns, data.community, until_us=data.test_as_of_us, rng=rng)
    except NotEnoughData as shortage:
        return tiers, told, [f"values of tiers are used: {shortage}"]
    actual = None
    if data.test_as_of_us + declared.value_days * DAY_US <= data.log_end_us:
        actual = declared.margin * float(spent_after(data.events, data.test, money, declared.value_days).mean())
    return (
        fitted.model,
        TestedValue("purchases", float(fitted.model(data.test_features).mean()), actual, fitted.validation),
        list(fitted.warnings),
    )


def _engine(data: _Data, horizons: tuple[FittedHorizon, ...], tested: TestedChurn, value: ValueModel, trained_at: datetime) -> Engine:
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
