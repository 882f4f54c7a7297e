"""Published randomised experiments, read in place from the folder of real data: what was tried on whom, and what followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

MISSING = -999
LEFT_OUT_BLOCKS = ("nonama.block222", "nonama.block058", "nonama.block037")
"""As in the authors' own script: of some of their threads the outcome was not recorded."""
RARE_FLAIR = 30
KARLAN_HISTORY = ("hpa", "ltmedmra", "freq", "years", "year5", "mrm2", "dormant", "female", "couple", "state50one", "nonlit", "cases")
KARLAN_PLACE = (
    "statecnt",
    "perbush",
    "close25",
    "red0",
    "blue0",
    "redcty",
    "bluecty",
    "pwhite",
    "pblack",
    "page18_39",
    "ave_hh_sz",
    "median_hhincome",
    "powner",
    "psch_atlstba",
    "pop_propurban",
)
"""Without stateresponse and its kin, which are rates of the outcome itself."""


@dataclass(frozen=True)
class Experiment:
    """features (n, d); assignment (n,) of names, `none` for the control; outcomes: (n,) each; share: probability of each arm, `none` first.

    block (n,): rows that were randomised together; None where each was on its own.
    """

    features: pd.DataFrame
    assignment: np.ndarray
    outcomes: dict[str, np.ndarray]
    share: dict[str, float]
    block: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.assignment)

    def __getitem__(self, rows: np.ndarray) -> Experiment:
        outcomes = {name: outcome[rows] for name, outcome in self.outcomes.items()}
        block = None if self.block is None else self.block[rows]
        return replace(self, features=self.features.iloc[rows], assignment=self.assignment[rows], outcomes=outcomes, block=block)

    @property
    def arms(self) -> tuple[str, ...]:
        """`none` first."""
        return tuple(self.share)

    @property
    def chosen(self) -> np.ndarray:
        """Position of each row's arm in `arms`, shape (n,)."""
        return (self.assignment[:, None] == np.array(self.arms)).argmax(axis=1)

    @property
    def propensities(self) -> np.ndarray:
        """Shape (n, n_arms)."""
        return np.tile(list(self.share.values()), (len(self), 1))

    def where(self, chosen: np.ndarray) -> Experiment:
        return self[np.flatnonzero(chosen)]

    def known(self, outcome: str) -> Experiment:
        """The rows whose outcome was written down."""
        return self.where(np.isfinite(self.outcomes[outcome]))

    def against_none(self, arm: str) -> Experiment:
        """The rows of one arm and of `none`."""
        whole = self.share["none"] + self.share[arm]
        share = {name: self.share[name] / whole for name in ("none", arm)}
        return replace(self.where(np.isin(self.assignment, ["none", arm])), share=share)

    def pooled(self, name: str) -> Experiment:
        """All arms but `none` as one."""
        share = {"none": self.share["none"], name: 1 - self.share["none"]}
        return replace(self, assignment=np.where(self.assignment == "none", "none", name), share=share)


def hillstrom(data: Path) -> Experiment:
    table = pd.read_csv(data / "hillstrom" / "hillstrom.csv.gz")
    arms = {"No E-Mail": "none", "Womens E-Mail": "womens", "Mens E-Mail": "mens"}
    groups = pd.get_dummies(table[["zip_code", "channel"]], dtype=float)
    features = pd.concat([table[["recency", "history", "mens", "womens", "newbie"]].astype(float), groups], axis=1)
    outcomes = {name: table[name].to_numpy(float) for name in ("visit", "conversion", "spend")}
    return Experiment(features, table["segment"].map(arms).to_numpy(str), outcomes, dict.fromkeys(arms.values(), 1 / 3))


def karlan_list(data: Path) -> Experiment:
    """Donors asked again by letter; what was drawn beside the ratio (size of the match, suggested amount) is part of the treatment.

    The amounts of two gifts are missing.
    """
    table = pd.read_csv(data / "karlan_list_2007" / "karlan_list_2007.csv.gz").replace(MISSING, np.nan)
    arm = np.select([table["treatment"] == 0, table["treat_ratio2"] == 1, table["treat_ratio3"] == 1], ["none", "2:1", "3:1"], "1:1")
    outcomes = {"gave": table["out_gavedum"].to_numpy(float), "amount": table["out_amountgive"].to_numpy(float)}
    features = table[[*KARLAN_HISTORY, *KARLAN_PLACE]].astype(float)
    return Experiment(features, arm.astype(str), outcomes, {"none": 1 / 3, "1:1": 2 / 9, "2:1": 2 / 9, "3:1": 2 / 9})


def rscience(data: Path) -> Experiment:
    """Threads; rules posted at the top or not. What came later (time among the top threads, removal) is no feature."""
    table = pd.read_csv(data / "rscience_norms_rct" / "rscience_experiment_posts.csv.gz")
    table = table[~table["block.id"].isin(LEFT_OUT_BLOCKS)].reset_index(drop=True)
    flair = table["post.flair"].fillna("unknown")
    common = flair.where(flair.map(flair.value_counts()) >= RARE_FLAIR, "rare")
    plain = table[["post.ama", "weekend", "post.hour"]].astype(float)
    comments = table["newcomer.comments"].to_numpy(float)
    return Experiment(
        features=pd.concat([plain, pd.get_dummies(common, prefix="flair", dtype=float)], axis=1),
        assignment=np.where(table["treatment"] == 1, "rules", "none"),
        outcomes={"comments": comments, "log comments": np.log1p(comments)},
        share={"none": 0.5, "rules": 0.5},
        block=table["block.id"].to_numpy(str),
    )


def wikipedia_welcome(data: Path) -> dict[str, Experiment]:
    """By study and outcome, one row for each account that was counted; nothing else is known of them."""
    counts = pd.read_csv(data / "wikipedia_welcome_rct_counts" / "counts.csv")
    return {f"{study} {outcome}": _of_counts(str(outcome), arms) for (study, outcome), arms in counts.groupby(["study", "outcome"])}


def _of_counts(outcome: str, arms: pd.DataFrame) -> Experiment:
    names = ["none" if name.startswith("control") else name for name in arms["arm"]]
    happened = np.concatenate([np.arange(n) < successes for n, successes in zip(arms["n"], arms["successes"], strict=True)])
    share = dict(zip(names, (arms["n"] / arms["n"].sum()).tolist(), strict=True))
    features = pd.DataFrame({"nothing_known": np.zeros(len(happened))})
    return Experiment(features, np.repeat(names, arms["n"]), {outcome: happened.astype(float)}, share)
