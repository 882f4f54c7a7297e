"""Learning from a sample of the members: whole members, the same ones each time, and a word on it wherever the result is told."""

import pytest
from mlflow import MlflowClient

from models.errors import InputError
from models.member_sample import MemberSample
from models.registry import MODEL_NAME
from pipelines.lessons import Asked, lesson_here, sampled
from pipelines.loading import load_to_learn, registry
from pipelines.options import now
from pipelines.workspace import Workspace
from tests.command_line import keepwell
from tests.empty_registry import with_registry

MEMBERS, DAYS = 400, 200
TABLES = ("--members", "members.parquet", "--joined", "joined", "--touches", "touches.parquet")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    keepwell("simulate", "-o", folder, "--members", MEMBERS, "--days", DAYS, "--seed", 3, "--force")
    named = [str(folder / word) if word.endswith(".parquet") else word for word in TABLES]
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    keepwell("init", folder / "events.parquet", *columns, *named, "-o", folder / "keepwell.yaml")
    return Workspace.find(with_registry(folder))


@pytest.fixture(scope="module")
def told(workspace):
    asked = ("--sample-members", 200, "--majority-share", 0.4, "--json")
    return keepwell("train", "-c", workspace.root, *asked).json()


def test_sampled_members_come_with_all_that_they_did_and_the_others_not_at_all(workspace):
    whole = load_to_learn(workspace, now=now())
    half = sampled(whole, MemberSample(0.5))
    ids = whole.log.members["member_id"]
    picked = ids.filter(MemberSample(0.5).picks(ids.to_list()))
    assert half.log.members["member_id"].to_list() == picked.to_list()
    for table in ("events", "touches"):
        everything, kept = (getattr(loaded.log, table).drop("member") for loaded in (whole, half))
        theirs = getattr(whole.log, table)["member"]
        assert kept.equals(everything.filter(ids.gather(theirs).is_in(picked.implode())))
    assert half.arrays.n_members == len(picked)


def test_what_everybody_must_tell_is_told_by_everybody(workspace):
    """The length of the log and the number of its members, whoever is in the sample."""
    loaded = load_to_learn(workspace, now=now())
    at = loaded.arrays.timestamp_us
    for share in (1, 0.02):
        with lesson_here(workspace, Asked(members=share), now=now()) as lesson:
            assert (lesson.drawn.members, lesson.events) == (MEMBERS, loaded.log.events.height)
            assert (lesson.drawn.first_us, lesson.drawn.last_us) == (at.min(), at.max())
    assert sampled(loaded, MemberSample(0.02)).arrays.timestamp_us.max() < at.max()


def test_a_sample_of_nobody_is_refused(workspace):
    with pytest.raises(InputError, match="of 400 members none is in the sample of 1e-05; ask for more"):
        lesson_here(workspace, Asked(members=1e-5), now=now()).__enter__()


@pytest.mark.parametrize("members", [0, -1, float("nan")])
def test_a_sample_that_nothing_can_be_learned_from_is_refused_before_the_log_is_read(members):
    with pytest.raises(InputError, match="cannot be learned from; give a share up to 1, such as"):
        Asked(members=members)


def test_training_tells_its_sample(told):
    assert told["members_in_log"] == MEMBERS
    assert (told["sample"]["share"], told["sample"]["salt"]) == (0.5, "training_sample")
    assert told["members"] < told["sample"]["members"] < 240


def test_the_run_and_the_model_card_tell_the_sample_and_what_risks_were_fitted_on(told, workspace):
    client = MlflowClient(registry(workspace).uri)
    run = client.get_run(client.get_model_version(MODEL_NAME, told["version"]).run_id)
    assert (run.data.params["sample_share"], run.data.params["sample_salt"]) == ("0.5", "training_sample")
    assert run.data.params["majority_share_30d"] == "0.4"
    (card,) = workspace.mlflow_artifacts.glob(f"{told['run_id']}/**/model_card.md")
    assert "is of a sample: 50.0% of 400 members" in card.read_text("utf-8")
