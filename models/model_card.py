"""The model card of a trained engine (Mitchell et al. 2019): what it predicts, for whom, how well and how that is known, and its limits."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.engine_files import GOLDEN_MEMBERS
from models.evaluation import calibration_curve
from models.preparation import NOTABLE_PSI
from models.training import BLEND

if TYPE_CHECKING:
    from jinja2 import Template

    from models.churn_fit import FittedHorizon, Validation
    from models.intervals import Estimate
    from models.preparation import Preparation
    from models.training import Trained
    from models.uplift_evidence import Evidence

RFM = "logistic regression on RFM"
NAMES = {BLEND: "blend", "rfm_logistic": RFM, "recency": "recency rule"}
PARTS = {"booster": "boosted trees", "linear": "logistic regression on all features", "rfm_logistic": RFM, BLEND: "blend"}
FIGURES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss, nats",
    "ece": "expected calibration error",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "lift_at_1": "lift at 1 %",
    "lift_at_5": "lift at 5 %",
    "lift_at_10": "lift at 10 %",
    "empc": "expected maximum profit (EMPC) per member",
}
GRADES = {
    "A": "The blend ranks clearly better: the whole interval lies above 0.",
    "B": "The blend ranks better, but the interval holds 0: that may be chance.",
    "C": "The blend is not shown to rank better. The baseline is in use, and its figures are those of this model.",
}
SCHEMES = {
    "out_of_time": "cuts at least one horizon after the last one that the parts were fitted on",
    "members": "later cuts of a quarter of the members, left out in turn; the log is too short for a gap of one horizon",
}
VERDICTS = {
    "act": "helps",
    "avoid": "harms",
    "explore": "no detectable effect yet",
    "not_enough": "no detectable effect, and not enough data to tell soon",
}
CHECKED = {"out_of_time": "later cuts", "members": "members left out"}


def model_card(trained: Trained) -> str:
    """Markdown, in English. Every figure of quality is of the test's members, none of whose outcomes were seen before."""
    community, tested, preparation = trained.engine.community, trained.churn, trained.preparation
    models = {BLEND: tested.compared.metrics, **tested.compared.baselines}
    return _template().render(
        trained=trained,
        community=community,
        churn=community.churn,
        provenance=trained.engine.provenance,
        tested=tested,
        compared=tested.compared,
        models=models,
        heads=[f"{NAMES[name]} (in use)" if name == tested.in_use else NAMES[name] for name in models],
        main=_main(trained),
        preparation=preparation,
        qualifying=[signal.name for signal in community.signals if signal.qualifying],
        others=[days for days in community.churn.horizons_days if days != community.churn.horizon_days],
        bins=calibration_curve(tested.churned, tested.probability),
        dropped=Counter(preparation.dropped.values()),
        drifting=_drifting(preparation),
        effects=() if trained.uplift is None or trained.uplift.uplift is None else trained.uplift.uplift.evidence.values(),
    )


def _main(trained: Trained) -> FittedHorizon:
    return next(fitted for fitted in trained.horizons if fitted.model.horizon_days == trained.engine.churn.main)


def _drifting(preparation: Preparation) -> list[str]:
    """Strongest first."""
    moved = [(psi, name) for name, psi in preparation.drift.items() if psi > NOTABLE_PSI]
    return [f"`{name}` {psi:.2f}" for psi, name in sorted(moved, reverse=True)]


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the text is Markdown, in which nothing is escaped
    )
    tables = {"names": NAMES, "parts": PARTS, "figures": FIGURES, "grades": GRADES, "schemes": SCHEMES, "checked": CHECKED}
    environment.globals |= tables
    environment.globals |= {"estimate": _estimate, "count": "{:,}".format, "percent": "{:.1%}".format, "money": "{:,.2f}".format}
    environment.globals |= {"weights": _weights, "losses": _losses}
    environment.globals |= {"verdicts": VERDICTS, "points": _points, "share": _share, "imbalance": _imbalance}
    environment.globals |= {"notable_psi": NOTABLE_PSI, "golden_members": GOLDEN_MEMBERS}
    return environment.get_template("model_card.md")


def _weights(chosen: Validation) -> str:
    return ", ".join(f"{PARTS[name]} {weight:.2f}" for name, weight in chosen.weights.items() if weight > 0)


def _losses(chosen: Validation) -> str:
    return ", ".join(f"{PARTS[name]} {loss:.4f}" for name, loss in chosen.log_loss.items())


def _points(value: float | None, interval: tuple[float, float] | None) -> str:
    return "–" if value is None or interval is None else f"{100 * value:+.2f} [{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def _share(value: float | None, interval: tuple[float, float] | None) -> str:
    return "–" if value is None or interval is None else f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _imbalance(evidence: Evidence) -> str:
    return ", ".join("–" if value is None else f"{value:.2f}" for value in (evidence.imbalance_before, evidence.imbalance_after))


def _estimate(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"
