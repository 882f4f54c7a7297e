"""What faults of `make chaos` come to, in short: the same scenes, once each; killing is in test_service_durability."""

import os
import shutil
from contextlib import closing

import pytest

from models.errors import StoreUnavailable
from models.store import Store
from tests.chaos.database_stops import stop_under_load
from tests.chaos.full_disk import fill_under_load, small_disk
from tests.patience import wait_until
from tests.serving_world import serving, world, write_home


def test_a_stopped_database_is_told_and_its_return_is_found(tmp_path, postgres):
    with postgres.database() as url:
        outages = stop_under_load(write_home(tmp_path / "home"), postgres, url, rounds=2, seconds=0.2)
    assert outages.lost == ()
    assert set(outages.statuses) == {200, 503}


def test_whatever_is_asked_of_a_store_whose_server_is_down_says_so_each_time(postgres):
    with postgres.database() as url, closing(Store.open(url)) as store:
        asked = (store.ping, store.has_keys, lambda: store.key("k"), lambda: store.known(["m"]), lambda: store.claim("k", [("r", "f")], 0))
        for ask in asked:
            ask()
        postgres.stop()
        for ask in asked * 2:
            with pytest.raises(StoreUnavailable):
                ask()
        postgres.start()
        for ask in asked:
            ask()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_told_and_its_relief_is_found(tmp_path):
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk") as disk:
        outages = fill_under_load(disk, tmp_path / "models", rounds=1, seconds=0.2)
    assert outages.lost == ()
    assert set(outages.statuses) == {200, 503}


def test_without_the_registry_the_service_goes_on_and_starts_again(tmp_path):
    home, registry = write_home(tmp_path / "home"), tmp_path / "mlflow.db"
    shutil.copy(world().mlflow_uri.removeprefix("sqlite:///"), registry)
    told = {"mlflow_uri": f"sqlite:///{registry}", "model_seconds": 0.05}

    def trouble(running):
        return running.client.get("/v1/models").json()["error"]

    with serving(home, world().log, **told) as running:
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        registry.write_text("this is no database, but it is long enough to be read as one")
        wait_until(lambda: "no MLflow database" in (trouble(running) or ""))
        assert str(tmp_path) not in trouble(running)
        assert running.score("m0000003").status_code == 200
    with serving(home, **told) as running:
        assert running.client.get("/readyz").status_code == 200
        assert running.score("m0000003").status_code == 200
        shutil.copy(world().mlflow_uri.removeprefix("sqlite:///"), registry)
        wait_until(lambda: trouble(running) is None)
    with closing(Store.open(running.settings.store_url)) as store:
        assert len(store.known(["m0000003"])) == 1
