"""What is told without being checked is what the checked answer says, to the byte."""

import json

import pytest

from serving.answers import ScoreAnswer
from tests.serving_world import serving, world, write_home


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


@pytest.mark.parametrize("mode", ["score_only", "simulate", "decide"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_are_written_as_the_described_answer_would_be(running, mode, language):
    asked = {"mode": mode, "language": language, "include": ["reasons", "candidates"], "max_actions": 3}
    rows = [{**asked, "member_id": member_id} for member_id in world().log.members["member_id"].to_list()[:40]]
    told = running.client.post("/v1/score/batch", json={"requests": rows})
    answers = [json.dumps(row["answer"], ensure_ascii=False, separators=(",", ":")) for row in told.json()["results"]]
    assert [ScoreAnswer.model_validate_json(answer).model_dump_json() for answer in answers] == answers
