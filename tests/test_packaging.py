"""What is installed, locked and shipped agrees with what is written."""

import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("models", "pipelines", "serving")
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

WRITTEN = {"", ".ipynb", ".lock", ".md", ".py", ".toml", ".yaml", ".yml", ".html", ".css"}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|home|Users|work|mnt)/\w")

Pin = tuple[str, str]


def distribution(requirement: str) -> str:
    """The normalised name at the head of a requirement."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def direct(group: str) -> set[str]:
    entries = PROJECT["dependency-groups"][group]
    return {name for entry in entries for name in (direct(entry["include-group"]) if isinstance(entry, dict) else {distribution(entry)})}


RUNTIME = {distribution(entry) for entry in PROJECT["project"]["dependencies"]}
OPTIONAL = {distribution(entry) for entries in PROJECT["project"].get("optional-dependencies", {}).values() for entry in entries}


def locked(lock: str) -> dict[Pin, int]:
    """The number of hashes of each `(distribution, version)` in a lock; markers may differ between locks and are left out."""
    blocks = re.split(r"^(?=\w)", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE)[1:]
    heads = (block.splitlines()[0].removesuffix("\\").strip() for block in blocks)
    return {
        (distribution(head), head.partition("==")[2].partition(" ;")[0]): block.count("--hash=sha256:")
        for head, block in zip(heads, blocks, strict=True)
    }


def written_files() -> Iterator[Path]:
    folders = (ROOT / name for name in (*FLOORS, "tests", "notebooks", ".ci"))
    every = itertools.chain(ROOT.iterdir(), *(folder.rglob("*") for folder in folders))
    return (path for path in every if path.is_file() and path.suffix in WRITTEN)


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


@cache
def owners_of_imports() -> Mapping[str, list[str]]:
    return packages_distributions()


def undeclared(folders: tuple[str, ...], declared: set[str]) -> dict[str, list[str]]:
    """Per import that no declared dependency provides: the files that make it."""
    owners = owners_of_imports()
    ours = {*sys.stdlib_module_names, *FLOORS, "tests", "conftest"}
    missing: dict[str, list[str]] = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for name in set(imported(path.read_text("utf-8"))) - ours:
            if not {distribution(owner) for owner in owners.get(name, [name])} & declared:
                missing.setdefault(name, []).append(path.name)
    return missing


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("make"), "--no-print-directory", "--silent", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


def test_every_import_of_the_product_is_a_declared_dependency() -> None:
    assert undeclared(FLOORS, RUNTIME | OPTIONAL) == {}


def test_every_import_of_the_tests_is_a_declared_dependency() -> None:
    assert undeclared(("tests",), RUNTIME | OPTIONAL | direct("dev")) == {}


@pytest.mark.parametrize(
    ("lock", "needed"),
    [("requirements.lock", RUNTIME), ("requirements-build.lock", direct("build")), ("requirements-dev.lock", RUNTIME | direct("dev"))],
)
def test_a_lock_pins_every_direct_dependency(lock: str, needed: set[str]) -> None:
    assert needed - {name for name, _ in locked(lock)} == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_version_and_a_hash(lock: str) -> None:
    assert [pin for pin, hashes in locked(lock).items() if not pin[1] or not hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_folder(lock: str) -> None:
    assert re.findall(r"\w+://\S+|^\s*--(?!hash)\S+|\s/\S+", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_the_development_lock_holds_the_same_pins(lock: str) -> None:
    assert locked(lock).keys() - locked("requirements-dev.lock").keys() == set()


def test_no_lock_asks_for_a_gpu_build() -> None:
    assert [name for name, _ in locked("requirements-dev.lock") if re.match(r"nvidia|cuda|cupy|torch|triton", name)] == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    assert [str(path.relative_to(ROOT)) for path in written_files() if MACHINE_PATH.search(path.read_text("utf-8"))] == []


def test_the_wheel_holds_every_file_of_the_three_floors_and_no_other(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("keepwell-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for floor in FLOORS for path in (ROOT / floor).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert shipped == {path.relative_to(ROOT).as_posix() for path in files}


def test_the_image_copies_files_that_exist_and_are_sent_to_the_build() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    sources = {source for copy in copies for source in copy.split()}
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert sources == sent
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_runs_as_an_ordinary_user_and_checks_the_port_it_serves() -> None:
    final = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    [port] = re.findall(r'^CMD .*"--port", "(\d+)"', final, flags=re.MULTILINE)
    assert re.search(r"^USER keepwell$", final, flags=re.MULTILINE)
    assert f"http://127.0.0.1:{port}/livez" in final
    assert f"EXPOSE {port}" in final


def test_every_target_of_the_makefile_is_listed_by_help() -> None:
    listed = {line.split()[1] for line in make("help").stdout.splitlines()}
    [phony] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert {"demo", "test", "bench", "lint", "lock", "notebooks", "clean"} <= listed == set(phony.split())


def test_a_python_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "python3.13", "exit 127")
    program(tmp_path / "python3.12", f'exec "{sys.executable}" "$@"')
    assert make("interpreter", PATH=str(tmp_path)).stdout == "python3.12\n"


def test_a_machine_without_a_fitting_python_is_told_what_to_install(tmp_path: Path) -> None:
    answer = make("interpreter", PATH=str(tmp_path))
    assert answer.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13" in answer.stderr


def test_the_continuous_check_is_executable_and_well_formed() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
