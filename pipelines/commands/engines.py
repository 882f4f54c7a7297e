"""Commands of the data scientist: learn, measure, put in force."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.options import AsJson, AsOf, Home, Master, OnWhat, Seed, SparkConf, Version, Where, now
from pipelines.terminal import OUT, Steps, print_json
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.lessons import LessonOf


def train(  # noqa: PLR0917 - typer calls it by name, an option each
    config: Home = None,
    test_as_of: Annotated[
        str | None, typer.Option("--test-as-of", help="Date of the test; by default the last whose outcome is known.")
    ] = None,
    sample_members: Annotated[
        float | None, typer.Option("--sample-members", min=0, help="Learn from a share of the members, up to 1, or from about so many.")
    ] = None,
    majority_share: Annotated[
        float | None,
        typer.Option("--majority-share", min=1e-6, max=1, help="Fit risks on this share of the commoner outcome, level set right."),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    engine: OnWhat = Where.HERE,
    master: Master = None,
    conf: SparkConf = None,
) -> None:
    """Train on the log, test on later outcomes, and register the engine as challenger."""
    from pipelines.lessons import Asked
    from pipelines.printing import print_training
    from pipelines.train import train_challenger

    asked, lesson_of = Asked(test_as_of, seed, sample_members, majority_share), _lesson_of(engine, master, conf or ())
    summary = train_challenger(Workspace.find(config), asked, now=now(), progress=Steps(), lesson_of=lesson_of)
    if as_json:
        print_json(summary.to_dict())
    else:
        print_training(summary, OUT)


def _lesson_of(engine: Where, master: str | None, conf: Sequence[str]) -> LessonOf:
    """Where features and labels are computed; what is learned of them is fitted here either way."""
    from pipelines.lessons import lesson_here

    if engine is Where.HERE:
        if master is not None or conf:
            raise typer.BadParameter("--master and --conf are for --engine spark")
        return lesson_here
    from pipelines.distributed_lessons import lesson_on_spark
    from pipelines.spark_session import settings_of

    return partial(lesson_on_spark, master=master, settings=settings_of(conf))


def learning_curve(
    config: Home = None,
    most_snapshots: Annotated[
        int, typer.Option("--most-snapshots", min=1000, help="The largest size; the others are halves of it.")
    ] = 300_000,
    test_as_of: Annotated[
        str | None, typer.Option("--test-as-of", help="Date of the test; by default the last whose outcome is known.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Learn the risk from more and more snapshots, test all on the same members, and tell how many are enough."""
    from pipelines.learning_curve import measure_learning_curve, print_learning_curve

    workspace, steps = Workspace.find(config), Steps()
    curve = measure_learning_curve(workspace, test_as_of=test_as_of, most_snapshots=most_snapshots, seed=seed, now=now(), progress=steps)
    print_json(curve.to_dict()) if as_json else print_learning_curve(curve, OUT)


def evaluate(
    config: Home = None,
    as_of: AsOf = None,
    version: Version = None,
    policy: Annotated[bool, typer.Option("--policy", help="Try its decisions on logged assignments, beside the champion's.")] = False,
    clip: Annotated[float | None, typer.Option("--clip", min=1, help="With --policy: hold weights at so much, and say so.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a registered version at a date whose outcome is known; with --policy, what its decisions would have earned."""
    from pipelines.evaluate import evaluate
    from pipelines.policies import evaluate_policies
    from pipelines.printing import print_evaluation
    from pipelines.printing_proof import print_policies

    workspace = Workspace.find(config)
    if policy:
        _refuse_both(as_of, "--as-of")
        tried = evaluate_policies(workspace, version=version, clip=clip, seed=seed, now=now(), progress=Steps())
        print_json(tried.to_dict()) if as_json else print_policies(tried, OUT)
        return
    evaluated = evaluate(workspace, as_of=as_of, version=version, seed=seed, now=now())
    print_json(evaluated.to_dict()) if as_json else print_evaluation(evaluated, OUT)


def promote(
    config: Home = None,
    version: Version = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", min=0, help="Money per 1,000 decisions by which it may be worse at the lower bound; 0 asks for a gain."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Put it in force without proof; goes with --because.")] = False,
    because: Annotated[str | None, typer.Option("--because", help="Why it is forced; kept with the version.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a version, by default the challenger, the champion that the service uses, once it has shown that it decides better."""
    from pipelines.printing_proof import print_promotion
    from pipelines.promote import Force, promote
    from pipelines.terminal import log_line

    if force != bool(because):
        raise typer.BadParameter("--force and --because go together: a promotion without proof needs its reason")
    forced = Force(because) if because else None
    promotion = promote(Workspace.find(config), version, margin=margin, force=forced, seed=seed, now=now(), progress=Steps())
    if forced is not None:
        log_line("promotion_forced", version=promotion.version, against=promotion.against, at=promotion.at.isoformat(), because=because)
    print_json(promotion.to_dict()) if as_json else print_promotion(promotion, OUT)


def _refuse_both(given: str | None, name: str) -> None:
    if given is not None:
        raise typer.BadParameter(f"{name} asks for the risk at one date; --policy uses all assignments whose outcome is known")
