"""compose.yaml, without an engine of containers: what it declares fits together, and every service's own command runs."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import httpx2
import polars as pl
import pytest
import yaml

from models.errors import InputError
from models.store_address import with_password
from tests.composed import PORTS, ROOT, Composed, composition
from tests.patience import PATIENCE_SECONDS, PLAIN, wait_until
from tests.serving_world import CONFIG, DECLARED, client_of, simulated_world, write_home

MEMBERS = [f"m{number:07d}" for number in range(24)]
SMALL = DECLARED.model_copy(
    update={
        "touches": None,
        "churn": DECLARED.churn.model_copy(update={"horizons_days": (30,)}),
        "schedule": DECLARED.schedule.model_copy(update={"report": False}),
    }
)
ONES_OWN = {"postgres", "prometheus"}
"""Images that are not built here."""

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")


@pytest.fixture(scope="module")
def declared():
    return composition()


def write_recent_logs(folder):
    """The simulated community, as if its log had ended today."""
    later = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - datetime.combine(CONFIG.start, datetime.min.time())
    later -= timedelta(days=CONFIG.days, hours=1)
    for name, time in (("events", "timestamp"), ("members", "joined")):
        table = getattr(simulated_world(), name)
        moved = table.with_columns(pl.col(time) + (later if table.schema[time] != pl.Date else timedelta(days=later.days)))
        moved.write_parquet(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """In the order that compose.yaml demands; between the two halves of it what docs/compose.md has a person do once."""
    composed = Composed(tmp_path_factory.mktemp("compose") / "here")
    with composed.stack:
        composed.start_postgres()
        with composed.starting("mlflow"):
            shutil.copytree(write_home(composed.folder / "declared", SMALL), composed.folder / "community", dirs_exist_ok=True)
            write_recent_logs(composed.folder / "community")
            composed.run("migrate")
        yield composed


@pytest.fixture(scope="module")
def serving_(running):
    """A client of each of the two, with a key of both; the model was trained by the night, and their clocks stand still after it.

    By running clocks a member is asked about at two moments, and is silent for longer at the second.
    """
    told = json.loads(running.run("night"))
    states = {step["name"]: step["state"] for step in told["steps"]}
    assert (states["train"], states["promote"]) == ("done", "done")
    after = datetime.now(UTC).isoformat()
    with running.starting("keepwell-1", "--as-of", after):
        made = running.run("night", "keepwell", "keys", "create", "crm", "--scopes", "score,read,metrics")
    running.start("keepwell-2", "--as-of", after)
    key = re.search(r"kw_\S+", made)[0]
    with client_of(running.url("keepwell-1"), key) as first, client_of(running.url("keepwell-2"), key) as second:
        for client in (first, second):
            wait_until(lambda client=client: client.get("/readyz").status_code == 200)
        yield first, second


def test_the_file_declares_what_it_refers_to(declared):
    services = declared["services"]
    assert {"keepwell-1", "keepwell-2", "postgres", "mlflow", "prometheus"} <= services.keys()
    for name, service in services.items():
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert {volume for volume in volumes if not volume.startswith(".")} <= declared["volumes"].keys(), name
        assert set(service.get("secrets", [])) <= declared["secrets"].keys(), name
        assert {config["source"] for config in service.get("configs", [])} <= declared["configs"].keys(), name
        for other, needed in service.get("depends_on", {}).items():
            assert needed["condition"] != "service_healthy" or "healthcheck" in services[other], (name, other)


def test_every_image_is_pinned_and_ours_is_the_release(declared):
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE)[1]
    for name, service in declared["services"].items():
        assert re.search(r":v?\d+\.\d", service["image"]), name
        assert name in ONES_OWN or service["image"] == f"keepwell:{version}"


def test_ours_run_with_nothing_that_they_do_not_need(declared):
    for name, service in declared["services"].items():
        assert "mem_limit" in service or service.get("restart") == "no", name
        if name not in ONES_OWN:
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    published = [port for service in declared["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_password_stands_in_the_file_or_in_an_environment(declared):
    for service in declared["services"].values():
        for name, value in service.get("environment", {}).items():
            assert name.endswith("_FILE") or "PASSWORD" not in name
            assert not re.search(r"//\w+:[^@/]*@", str(value))


def test_two_processes_answer_alike_by_the_model_that_the_night_trained(serving_):
    for client in serving_:
        assert client.get("/v1/models").json()["version"] == "1"
    asked = [{"member_id": member, "mode": "simulate"} for member in MEMBERS]
    told = [[client.post("/v1/score", json=body).raise_for_status().json() for body in asked] for client in serving_]
    assert told[0] == told[1]
    assert {answer["churn"]["status"] for answer in told[0]} >= {"scored"}


def test_what_one_process_decided_the_other_tells_and_repeats(serving_):
    first, second = serving_
    body = {"member_id": MEMBERS[1], "request_id": "once"}
    answer = first.post("/v1/score", json=body).raise_for_status().json()
    assert second.post("/v1/score", json=body).json() == answer
    assert second.get(f"/v1/decisions/{answer['decision_id']}").json()["decision_id"] == answer["decision_id"]
    assert second.post(f"/v1/decisions/{answer['decision_id']}/replay").json()["equal"] is True


def test_the_store_and_the_registry_are_both_on_postgresql(running, serving_):
    assert int(running.asked_of_postgres("keepwell", "SELECT count(*) FROM events")) > 1_000
    assert int(running.asked_of_postgres("mlflow", "SELECT count(*) FROM model_versions")) == 1
    assert not list((running.folder / "community/.keepwell").glob("*.db"))
    assert list((running.folder / "artifacts").rglob("engine.json"))


def test_the_limits_of_the_database_suffice_for_all_processes(running, serving_):
    """Each worker has up to sixteen connections to the store, and MLflow its own pool."""
    assert int(running.asked_of_postgres("keepwell", "SHOW max_connections")) >= 2 * 16 + 50


@needs_prometheus
def test_prometheus_takes_the_configuration_and_every_rule_and_reads_both(running, serving_):
    key = serving_[0].headers["Authorization"].removeprefix("Bearer ")
    (running.folder / "secrets/prometheus_key").write_text(f"{key}\n")
    checked = subprocess.run(
        ["promtool", "check", "config", running.folder / "configs/prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    running.start("prometheus")

    def asked(query):
        told = httpx2.get(f"{running.url('prometheus')}/api/v1/query", params={"query": query}, timeout=PATIENCE_SECONDS, verify=PLAIN)
        return {one["metric"]["instance"]: float(one["value"][1]) for one in told.json()["data"]["result"]}

    targets = {f"127.0.0.1:{running.ports[name]}" for name in ("keepwell-1", "keepwell-2")}
    wait_until(lambda: asked('up{job="keepwell"} == 1').keys() == targets)
    assert set(asked("keepwell_store_up").values()) == {1.0}
    assert set(asked("keepwell_model_in_force").values()) == {1.0}
    rules = httpx2.get(f"{running.url('prometheus')}/api/v1/rules", timeout=PATIENCE_SECONDS, verify=PLAIN).json()["data"]["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} >= {"KeepwellDown", "KeepwellStoreDown", "KeepwellMonitor"}


def test_every_figure_that_a_rule_asks_for_is_one_that_the_service_tells(declared):
    documented = set(re.findall(r"`(keepwell_\w+)`", (ROOT / "docs/operation.md").read_text("utf-8")))
    alerts = yaml.safe_load(declared["configs"]["alerts"]["content"])["groups"][0]["rules"]
    for alert in alerts:
        for name in re.findall(r"keepwell_\w+", alert["expr"]):
            assert re.sub(r"_(count|bucket)$", "", name) in documented, alert["alert"]


def test_health_checks_fail_where_nobody_listens(tmp_path):
    nobody = Composed(tmp_path / "nobody")
    assert [name for name in ("mlflow", "keepwell-1", "postgres") if nobody.healthy(name)] == []
    assert set(PORTS) <= nobody.compose["services"].keys()


def test_a_password_file_completes_the_address_of_the_store(tmp_path):
    file = tmp_path / "password"
    file.write_text(" a/b:c@d%\n")
    assert with_password("postgresql://keepwell@host:5432/db?x=1", str(file)) == "postgresql://keepwell:a%2Fb%3Ac%40d%25@host:5432/db?x=1"
    assert with_password("sqlite:////folder/keepwell.db", None) == "sqlite:////folder/keepwell.db"
    for url in ("postgresql://host/db", "postgresql://keepwell:known@host/db", "sqlite:////folder/keepwell.db"):
        with pytest.raises(InputError, match="has to name a user, and no password"):
            with_password(url, str(file))
    file.write_text("\n")
    for path in (file, tmp_path / "absent"):
        with pytest.raises(InputError, match="KEEPWELL_STORE_PASSWORD_FILE"):
            with_password("postgresql://keepwell@host/db", str(path))
