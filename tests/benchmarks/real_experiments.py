"""Published randomised experiments: what they say, and what a model learned from one half would have earned on the other.

- Halves: SPLITS random ones; models are fitted on one and measured on the other, for policies in both directions. Told are the mean over
  the splits, their standard deviation (of the same members, so it is no standard error), and the 90 % interval of the first split alone.
- Policy value: inverse propensity weighting with the probabilities of the design, per member. `personal` gives each member the arm with the
  largest learned effect, none where all are negative; `best arm learned` gives all the arm whose mean was the largest in the other half.
  Intervals hold the policy as it was learned: where two arms all but tied in the other half, which of them was taken is no part of them.
- Qini: area between the curve of gathered effect (per member, best predicted first, share of the members across) and the straight line to
  its end, with effects weighted by the design's probabilities and centred by the other half's arm means: `qini` of models.uplift_curves.
  Radcliffe's (2007) counts divided by the number of treated come to the same in expectation. Not divided by a best possible curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from models.intervals import Estimate
from models.policy_value import PolicyValue, estimate_ips, policy_difference
from models.uplift import Uplift
from models.uplift_curves import arm_effects, qini_curve
from models.uplift_fit import fit_uplift
from tests.benchmarks.plain_learners import LEARNERS
from tests.experiment_logs import Experiment, hillstrom, karlan_list, rscience, wikipedia_welcome
from tests.read_outs import arm_means, differences, ratio_of_means

DATA = Path(__file__).parents[3] / "shared" / "data"
SPLITS = 10
LEVEL = 0.9
LEARNED = "best arm learned"
TELLING = 10.0
"""A wider interval of the share of differences that held says nothing and is not printed."""


class HeldOut(NamedTuple):
    """Members who were not learned from, their predicted effects (n, k), and what was learned elsewhere of the arms on average.

    means (n, 1 + k): plain ones of the outcome; average (n, k): the model's average effects, the same in each row.
    """

    held: Experiment
    effect: np.ndarray
    means: np.ndarray
    average: np.ndarray

    @classmethod
    def of(cls, learning: Experiment, held: Experiment, outcome: str, seed: int) -> Self:
        means = [mean.value for mean in arm_means(learning, outcome).values()]
        model = learned(learning, outcome, seed)
        return cls(held, model.effect(held.features), *(np.tile(told, (len(held), 1)) for told in (means, model.average)))


def learned(experiment: Experiment, outcome: str, seed: int) -> Uplift:
    return fit_uplift(
        experiment.features,
        experiment.assignment,
        experiment.outcomes[outcome],
        experiment.propensities,
        rng=np.random.default_rng(seed),
        interventions=experiment.arms[1:],
        groups=experiment.block,
    )


def halves(experiment: Experiment, seed: int) -> tuple[Experiment, Experiment]:
    order = np.random.default_rng(seed).permutation(len(experiment))
    return experiment[order[::2]], experiment[order[1::2]]


def targets(split: HeldOut) -> dict[str, np.ndarray]:
    """Probabilities of each arm under each policy, (n, n_arms)."""
    held, arms = split.held, np.eye(len(split.held.arms))
    personal, alike = (np.where(told.max(axis=1) > 0, told.argmax(axis=1) + 1, 0) for told in (split.effect, split.average))
    constant = {f"{arm} to all" if arm != "none" else "nobody": np.tile(arms[at], (len(held), 1)) for at, arm in enumerate(held.arms)}
    learned_alike = {LEARNED: arms[split.means.argmax(axis=1)], "best by its averages": arms[alike]}
    return {"personal": arms[personal], **learned_alike, **constant, "at random": held.propensities}


def policy_values(splits: Sequence[HeldOut], outcome: str) -> dict[str, PolicyValue]:
    """Of the members of all the parts together."""
    parts = [targets(split) for split in splits]
    reward, chosen, logged = (
        np.concatenate(given)
        for given in zip(*((held.outcomes[outcome], held.chosen, held.propensities) for held, *_ in splits), strict=True)
    )
    return {name: estimate_ips(reward, chosen, logged, np.concatenate([part[name] for part in parts]), level=LEVEL) for name in parts[0]}


def interval(estimate: Estimate | PolicyValue, unit: float = 1.0, digits: int = 3) -> str:
    low, high = (estimate.lower, estimate.upper) if isinstance(estimate, Estimate) else (estimate.low, estimate.high)
    return f"{unit * estimate.value:.{digits}f} [{unit * low:.{digits}f}, {unit * high:.{digits}f}]"


def over_splits(values: Sequence[float], unit: float = 1.0, digits: int = 3) -> str:
    return f"{unit * np.mean(values):.{digits}f} (sd {unit * np.std(values, ddof=1):.{digits}f})"


def split_effects(experiment: Experiment, outcome: str) -> list[tuple[HeldOut, HeldOut]]:
    """Of each split both halves, each predicted from the other."""
    pairs = [halves(experiment, seed) for seed in range(SPLITS)]
    return [(HeldOut.of(one, two, outcome, seed), HeldOut.of(two, one, outcome, seed)) for seed, (one, two) in enumerate(pairs)]


def tell_policies(splits: Sequence[tuple[HeldOut, HeldOut]], outcome: str, unit: float) -> None:
    """Each beside the arm that was the best of the other half, given to all; how many splits' intervals lie below and above it."""
    values = [policy_values(both, outcome) for both in splits]
    print(f"    {'':22}{f'mean of {SPLITS} splits':24}{'first split':28}{f'less {LEARNED}':24}{'first split':28}splits below, above")
    for name in values[0]:
        gaps = [policy_difference(split[name], split[LEARNED]) for split in values]
        value = over_splits([split[name].value for split in values], unit)
        less = over_splits([gap.value for gap in gaps], unit)
        first = interval(Estimate(gaps[0].value, gaps[0].low, gaps[0].high), unit)
        clear = f"{sum(gap.high < 0 for gap in gaps)}, {sum(gap.low > 0 for gap in gaps)}"
        print(f"    {name:22}{value:24}{interval(values[0][name], unit):28}{less:24}{first:28}{clear}", flush=True)


def tell_arm_qini(splits: Sequence[tuple[HeldOut, HeldOut]], outcome: str) -> None:
    """Of the model of all arms, each arm against none."""
    for at, arm in enumerate(splits[0][0].held.arms[1:]):
        curves = [qini_of(one.held, outcome, one.effect[:, at], one.means, arm=at + 1, seed=seed) for seed, (one, _) in enumerate(splits)]
        print(f"    {arm:18}{over_splits([qini.value for qini in curves], 1, 4):24}{interval(curves[0], 1, 4)}", flush=True)


def qini_of(held: Experiment, outcome: str, predicted: np.ndarray, means: np.ndarray, *, arm: int, seed: int) -> Estimate:
    effects = arm_effects(held.outcomes[outcome], held.chosen, held.propensities, arm, predictions=means)
    return qini_curve(predicted, effects, rng=np.random.default_rng(seed), level=LEVEL, resamples=100).qini


def rankings(learning: Experiment, outcome: str, split: HeldOut) -> dict[str, np.ndarray]:
    """Predicted effects of the one arm, (n,), by learner."""
    treated, share = learning.assignment != "none", learning.share[learning.arms[1]]
    given = (learning.features.to_numpy(), treated, learning.outcomes[outcome], share)
    plain = {f"{name}-learner": learner(*given)(split.held.features.to_numpy()) for name, learner in LEARNERS.items()}
    return {"keepwell": split.effect[:, 0], **plain}


def tell_qini(experiment: Experiment, outcome: str) -> None:
    """Of an experiment with one arm, beside plain learners."""
    told: dict[str, list[Estimate]] = {}
    for seed in range(SPLITS):
        learning, held = halves(experiment, seed)
        split = HeldOut.of(learning, held, outcome, seed)
        for name, predicted in rankings(learning, outcome, split).items():
            told.setdefault(name, []).append(qini_of(held, outcome, predicted, split.means, arm=1, seed=seed))
    for name, curves in told.items():
        print(f"    {name:18}{over_splits([qini.value for qini in curves], 1, 4):24}{interval(curves[0], 1, 4)}", flush=True)


def tell_arms(experiment: Experiment, outcome: str, unit: float) -> None:
    means = ", ".join(f"{arm} {interval(mean.interval(LEVEL), unit)}" for arm, mean in arm_means(experiment, outcome).items())
    print(f"    means: {means}")
    for gap in differences(experiment, outcome, level=LEVEL):
        print(f"    {gap.arm} less {gap.other:12}{interval(gap.estimate, unit):26} p {gap.p:.3f}, of several {gap.adjusted:.3f}")


def tell_evidence(model: Uplift, unit: float) -> None:
    for evidence in model.evidence.values():
        assert evidence.average_effect is not None
        assert evidence.interval is not None
        average = Estimate(evidence.average_effect, *evidence.interval)
        held, between, more = evidence.heterogeneity_held, evidence.heterogeneity_interval, evidence.more_members
        found = ""
        if held is not None and between is not None and between[1] - between[0] < TELLING:
            found = f"; of the differences between members {interval(Estimate(held, *between), 1, 2)} held"
        needed = f"; {more:,} more of it needed" if more else ""
        print(f"    fit_uplift: {evidence.intervention} {interval(average, unit)}: {evidence.verdict}{needed}{found}", flush=True)


def tell_hillstrom() -> None:
    experiment = hillstrom(DATA)
    for outcome, unit, what in (("visit", 100.0, "visits in % of members"), ("spend", 1.0, "$ per member")):
        print(f"\nhillstrom, {len(experiment):,} customers: {what}; policies on held-out halves")
        tell_evidence(learned(experiment, outcome, 0), unit)
        splits = split_effects(experiment, outcome)
        tell_policies(splits, outcome, unit)
        print(f"  Qini, {outcome} per member, of all arms learned together, each against none: mean of {SPLITS} splits, first split")
        tell_arm_qini(splits, outcome)
        print(f"  Qini of both e-mails as one against none, {outcome} per member: mean of {SPLITS} splits, first split")
        tell_qini(experiment.pooled("e-mail"), outcome)


def tell_karlan() -> None:
    donors = karlan_list(DATA)
    for outcome, unit, what in (("gave", 100.0, "% who gave"), ("amount", 1.0, "$ per letter")):
        everyone = donors.known(outcome)
        dormant = everyone.where(everyone.features["dormant"].to_numpy() == 1)
        print(f"\nkarlan_list_2007, {len(dormant):,} dormant donors: {what}")
        tell_arms(dormant, outcome, unit)
        tell_evidence(learned(dormant, outcome, 0), unit)
        tell_policies(split_effects(dormant, outcome), outcome, unit)
        print(f"  any match against none, all {len(everyone):,} donors")
        tell_arms(everyone.pooled("match"), outcome, unit)


def tell_rscience() -> None:
    experiment = rscience(DATA)
    ama = experiment.features["post.ama"].to_numpy() == 1
    print(f"\nrscience, {len(experiment):,} threads in blocks: newcomer comments per thread, rules posted or not; intervals by block")
    for name, part in {"other threads": experiment.where(~ama), "AMA threads": experiment.where(ama)}.items():
        print(f"  {name}: {len(part):,}; ratio of means {interval(ratio_of_means(part, 'comments', 'rules', level=LEVEL))}")
        tell_arms(part, "comments", 1.0)
    for outcome in experiment.outcomes:
        model = learned(experiment, outcome, 0)
        effect, bounds = model.effect(experiment.features)[:, 0], model.interval(experiment.features, LEVEL)
        print(f"  {outcome}:")
        tell_evidence(model, 1.0)
        for name, rows in {"other threads": ~ama, "AMA threads": ama}.items():
            told = Estimate(float(effect[rows].mean()), float(bounds.low[rows].mean()), float(bounds.high[rows].mean()))
            print(f"    expected effect on {name}, mean with the mean of the threads' own intervals: {interval(told)}")


def tell_wikipedia() -> None:
    for name, experiment in wikipedia_welcome(DATA).items():
        outcome = next(iter(experiment.outcomes))
        print(f"\nwikipedia_welcome {name}, {len(experiment):,} new accounts, in %")
        tell_arms(experiment, outcome, 100.0)
        tell_evidence(learned(experiment, outcome, 0), 100.0)


TOLD: tuple[Callable[[], None], ...] = (tell_wikipedia, tell_rscience, tell_karlan, tell_hillstrom)


def main() -> None:
    if not DATA.is_dir():
        print(f"the experiments are not on this machine: {DATA} is absent")
        return
    for tell in TOLD:
        tell()
