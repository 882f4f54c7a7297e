"""Commands of the data scientist: learn, measure, put in force."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.options import AsJson, AsOf, Home, Seed, Version, now
from pipelines.terminal import OUT, Steps, print_json
from pipelines.workspace import Workspace


def train(
    config: Home = None,
    test_as_of: Annotated[
        str | None, typer.Option("--test-as-of", help="Date of the test; by default the last whose outcome is known.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train on the log, test on later outcomes, and register the engine as challenger."""
    from pipelines.printing import print_training
    from pipelines.train import train_challenger

    summary = train_challenger(Workspace.find(config), test_as_of=test_as_of, seed=seed, now=now(), progress=Steps())
    if as_json:
        print_json(summary.to_dict())
    else:
        print_training(summary, OUT)


def evaluate(config: Home = None, as_of: AsOf = None, version: Version = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measure a registered version, by default the champion or else the challenger, at a date whose outcome is known."""
    from pipelines.evaluate import evaluate
    from pipelines.printing import print_evaluation

    evaluated = evaluate(Workspace.find(config), as_of=as_of, version=version, seed=seed, now=now())
    if as_json:
        print_json(evaluated.to_dict())
    else:
        print_evaluation(evaluated, OUT)


def promote(config: Home = None, version: Version = None) -> None:
    """Make a version, by default the challenger, the champion that the service uses."""
    from pipelines.promote import promote

    OUT.print(f"version {promote(Workspace.find(config), version)} is the champion", highlight=False)
