"""The client of the README, run as it stands there: it scores, reports a touch and an outcome, and reads the decision back."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from models.api_keys import create_key
from tests.serving_world import NOW, serving, world, write_home
from tests.test_documents import READMES, blocks


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("crm") / "home"), world().log) as running:
        yield running


def run(running, *command):
    """With a key of the scopes that the README names; on a member for whom something is to be sent."""
    ids = world().log.members["member_id"]
    member = next(member_id for member_id in ids if running.score(member_id, mode="simulate").json()["actions"])
    key = create_key(running.store, "crm", ["score", "ingest", "read"], now=NOW)
    environment = {**os.environ, "KEY": key, "URL": str(running.client.base_url).rstrip("/"), "MEMBER": member}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_client_in_curl_does_what_the_readme_says(running):
    (script,) = (block for block in blocks(READMES[0], "sh") if "/v1/touches" in block)
    told = [json.loads(line) for line in run(running, "sh", "-euc", script).replace("}{", "}\n{").splitlines()]
    assert told[:2] == [{"accepted": 1, "duplicate": 0, "rejected": []}] * 2
    assert [touch["state"] for touch in told[2]["touches"]] == ["delivered"]
    assert [(outcome["type"], outcome["value"]) for outcome in told[2]["outcomes"]] == [("purchase", 20.0)]


def test_the_client_in_python_does_what_the_readme_says(running):
    (script,) = blocks(READMES[0], "python")
    said, touched, followed, trace = run(running, sys.executable, "-W", "error", "-c", script).splitlines()
    assert said.startswith("send coupon on wecom not before 2025-07-20T")
    assert touched == followed == "{'accepted': 1, 'duplicate': 0, 'rejected': []}"
    assert trace == "coupon ['delivered'] ['purchase']"
