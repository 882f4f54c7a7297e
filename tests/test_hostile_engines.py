"""Engines that somebody made up to do harm: each is refused with its reason, runs nothing, and takes no memory that is not there."""

import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.booster_text import check_booster
from models.engine_files import ENGINE_FILE, GOLDEN_FILE, REFERENCE_FILE, load_engine, save_engine
from models.errors import ModelRefused

HEADROOM = 700 << 20
TEN_GB = 10_000_000_000


@pytest.fixture(scope="module")
def engine_files(trained_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "engine"
    save_engine(trained_world.trained.engine, trained_world.trained.golden, folder)
    return folder


@pytest.fixture
def folder(engine_files, tmp_path):
    return shutil.copytree(engine_files, tmp_path / "engine")


@pytest.fixture(autouse=True)
def _little_memory():
    """A reader that believed a head of 10 GB would fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + HEADROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def resealed(folder, **changes):
    """The digests are those of the files as they are now, as whoever writes to the registry can arrange."""
    path = folder / ENGINE_FILE
    content = json.loads(path.read_text("utf-8")) | changes
    names = changes.get("files", content["files"])
    content["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    path.write_text(json.dumps(content), encoding="utf-8")


def rewritten(path, **arrays):
    with np.load(path) as stored:
        held = {name: stored[name] for name in stored.files}
    np.savez_compressed(path, **{**held, **arrays})


def booster_of(folder):
    return min(folder.glob("*.lgb.txt"))


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def refused(folder, match):
    with pytest.raises(ModelRefused, match=match) as told:
        load_engine(folder)
    assert len(str(told.value)) < 1_000


def test_the_engine_itself_loads_within_the_bound(folder):
    resealed(folder)
    assert load_engine(folder).version == "unregistered"


def test_a_pickle_beside_the_files_is_refused_and_not_opened(folder, tmp_path):
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    resealed(folder)
    refused(folder, '"model.pkl" is no file of the engine')
    resealed(folder, files=[*json.loads((folder / ENGINE_FILE).read_text("utf-8"))["files"], "model.pkl"])
    load_engine(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", [GOLDEN_FILE, REFERENCE_FILE])
def test_a_pickle_within_arrays_is_refused_and_not_opened(folder, tmp_path, name):
    hidden = np.array([Trap(tmp_path / "sprung")], dtype=object)
    rewritten(folder / name, features=hidden, values=hidden)
    resealed(folder)
    refused(folder, rf'"{name}" holds no arrays that can be read .*objects')
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "..", ".", "", "sub/file", "missing.txt"])
def test_a_name_that_leads_elsewhere_is_refused(folder, name):
    (folder.parent / "outside.txt").write_text("outside")
    content = json.loads((folder / ENGINE_FILE).read_text("utf-8"))
    content["files"][name] = hashlib.sha256(b"outside").hexdigest()
    (folder / ENGINE_FILE).write_text(json.dumps(content))
    refused(folder, "is no plain file of its folder|is missing")


def test_a_booster_that_lies_elsewhere_is_refused(folder):
    shutil.copy(booster_of(folder), folder.parent / "outside.txt")
    text = (folder / ENGINE_FILE).read_text("utf-8")
    (folder / ENGINE_FILE).write_text(text.replace(booster_of(folder).name, "../outside.txt", 1))
    refused(folder, r"outside.txt")


@pytest.mark.parametrize("name", [GOLDEN_FILE, ENGINE_FILE])
def test_a_link_is_not_followed(folder, name):
    (folder / name).rename(folder.parent / "outside")
    (folder / name).symlink_to(folder.parent / "outside")
    refused(folder, f'"{name}" is no plain file')


def test_an_array_that_claims_ten_gigabytes_is_refused(folder):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (TEN_GB // 8,)})
    with zipfile.ZipFile(folder / REFERENCE_FILE, "w") as archive:
        archive.writestr("probabilities.npy", head.getvalue() + b"\0" * 80)
    resealed(folder)
    refused(folder, "probabilities.npy claims 10,000,000,000 bytes and has 80")


def test_an_archive_that_unfolds_without_end_is_refused(folder):
    with zipfile.ZipFile(folder / REFERENCE_FILE, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("values.npy", "w") as entry:
        for _ in range(300):
            entry.write(bytes(1 << 20))
    assert (folder / REFERENCE_FILE).stat().st_size < 1 << 20
    resealed(folder)
    refused(folder, "unfolds to more than")


def test_a_file_that_is_larger_than_any_engine_is_refused_unread(folder):
    with booster_of(folder).open("r+b") as file:
        file.truncate(TEN_GB)
    refused(folder, r"has 10,000,000,000 bytes")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"format":' * 100_000, "[]", "null", '{"format": NaN}', '{"format": -Infinity}', "\ud800", "{" + " " * (33 << 20)],
)
def test_a_description_that_is_no_plain_json_is_refused(folder, text):
    (folder / ENGINE_FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(folder, "is missing or damaged")


@pytest.mark.parametrize("key", ["community", "spec", "churn", "value", "reference", "provenance", "baselines", "files", "fingerprint"])
@pytest.mark.parametrize("put", [None, 7, [], {}, "text", {"kind": "booster", "columns": [10**30], "model_file": GOLDEN_FILE}])
def test_a_part_of_another_form_is_refused(folder, key, put):
    content = json.loads((folder / ENGINE_FILE).read_text("utf-8"))
    (folder / ENGINE_FILE).write_text(json.dumps({**content, key: put}))
    if (key, put) != ("baselines", {}):
        refused(folder, ".")


def test_a_description_without_its_parts_is_refused(folder):
    (folder / ENGINE_FILE).write_text(json.dumps({"format": json.loads((folder / ENGINE_FILE).read_text("utf-8"))["format"]}))
    refused(folder, "files of the engine do not fit each other")


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        (GOLDEN_FILE, {"features": np.zeros((1, 1))}),
        (GOLDEN_FILE, {"probability": np.zeros((5, 99))}),
        (GOLDEN_FILE, {"snapshots_member": np.array([10**9] * 5)}),
        (GOLDEN_FILE, {"events_offsets": np.array([0, 10**12, 3, 4, 5, 6])}),
        (GOLDEN_FILE, {"events_signal": np.zeros(1, np.uint8)}),
        (GOLDEN_FILE, {"events_timestamp_us": np.array(["text"] * 3)}),
        (REFERENCE_FILE, {"values": np.zeros(1)}),
        (REFERENCE_FILE, {"centre": np.zeros((2, 2))}),
    ],
)
def test_arrays_of_other_shapes_are_refused(folder, name, arrays):
    rewritten(folder / name, **arrays)
    resealed(folder)
    refused(folder, "golden members|do not fit each other")


@pytest.mark.parametrize("name", ["probability", "value", "uplift"])
def test_golden_scores_that_are_no_numbers_prove_nothing(folder, trained_world, name):
    rewritten(folder / GOLDEN_FILE, **{name: np.full_like(getattr(trained_world.trained.golden, name), np.nan)})
    resealed(folder)
    refused(folder, "golden members")


def test_an_engine_without_golden_members_is_refused(folder, trained_world):
    golden = trained_world.trained.golden
    none = {name: getattr(golden, name)[:0] for name in ("features", "probability", "value", "uplift")}
    events = {
        f"events_{name}": getattr(golden.events, name)[:0] for name in ("timestamp_us", "signal", "value", "joined_us", "contract_end_us")
    }
    snapshots = {f"snapshots_{name}": getattr(golden.snapshots, name)[:0] for name in ("member", "as_of_us", "joined_us")}
    rewritten(folder / GOLDEN_FILE, **none, **events, **snapshots, events_offsets=np.zeros(1, np.int64))
    resealed(folder)
    refused(folder, "golden members")


def changed_line(text, name, value):
    start = text.index(f"\n{name}=") + 1
    return text[:start] + f"{name}={value}" + text[text.index("\n", start) :]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_leaves", "2000000000"),
        ("num_leaves", "-1"),
        ("num_leaves", "3"),
        ("num_cat", "1"),
        ("is_linear", "1"),
        ("left_child", "0 0 0 0 0 0 0"),
        ("left_child", "1000000 1 2 3 4 5 6"),
        ("split_feature", "999999 0 0 0 0 0 0"),
        ("split_feature", "-5 0 0 0 0 0 0"),
        ("decision_type", "1 1 1 1 1 1 1"),
        ("leaf_value", "nan nan nan nan nan nan nan nan"),
        ("leaf_value", ""),
        ("threshold", "a b c"),
        ("max_feature_idx", "1000000000000"),
        ("max_feature_idx", "3"),
        ("num_class", "1000000000"),
        ("num_tree_per_iteration", "0"),
        ("feature_infos", "[0:1]"),
        ("tree_sizes", "99999999 99999999"),
        ("tree_sizes", "-1 -1"),
        ("tree_sizes", ""),
    ],
)
def test_a_booster_with_a_wrong_number_is_refused_before_lightgbm_reads_it(folder, name, value):
    path = booster_of(folder)
    path.write_text(changed_line(path.read_text("utf-8"), name, value), encoding="utf-8")
    resealed(folder)
    refused(folder, "the text of a booster cannot be read")


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.3, 0.5])
def test_a_truncated_booster_is_refused(folder, share):
    path = booster_of(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    resealed(folder)
    refused(folder, "the text of a booster")


def test_every_cut_of_a_booster_within_its_trees_is_refused(engine_files, rng):
    text = booster_of(engine_files).read_text("utf-8")
    check_booster(text)
    for cut in rng.integers(0, text.index("end of trees"), 200):
        with pytest.raises(ModelRefused):
            check_booster(text[:cut])


def test_a_member_of_a_folder_that_is_none_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "engine.json")
    assert not Path(tmp_path / "nowhere").exists()
