"""What the documents say is so: commands run, options and settings are all there, links lead somewhere."""

import fnmatch
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import httpx2
import numpy as np
import pytest
import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from models.community import Community
from models.simulation import SimulationConfig, simulate
from pipelines.cli import app
from serving.problems import PROBLEM_TYPES
from tests.command_line import keepwell
from tests.patience import PATIENCE_SECONDS, PLAIN, wait_until
from tests.planted import community, intervention, signal, tier

ROOT = Path(__file__).parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
COMMANDS, DECLARATION = ROOT / "docs" / "commands.md", ROOT / "docs" / "declaration.md"
DOCUMENTS = (*READMES, *sorted((ROOT / "docs").glob("*.md")))
SOURCES = [path for floor in ("models", "pipelines", "serving") for path in (ROOT / floor).rglob("*.py")]
LABEL_KEYS = (".en", ".zh")
START, DAYS = date(2025, 1, 1), 150

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
each_readme = pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)


def written(path: Path) -> str:
    return path.read_text("utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """Code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", written(path), flags=re.MULTILINE | re.DOTALL)


def table_rows(text: str) -> dict[str, list[str]]:
    """Rows of the tables by their first cell, without code marks."""
    rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].replace("`", "").removeprefix("| ").strip("| "): cells for cells in rows}


# Bring your own log


def five_lines() -> list[list[str]]:
    (block,) = (block for block in blocks(READMES[0], "sh") if block.startswith("keepwell init"))
    return [line.split() for line in block.splitlines()]


@dataclass(frozen=True)
class Served:
    url: str
    key: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx2.post(
            self.url + path, json=body, headers={"Authorization": f"Bearer {self.key}"}, timeout=PATIENCE_SECONDS, verify=PLAIN
        )
        return answer.raise_for_status().json()


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEEPWELL_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def write_log(folder: Path) -> list[str]:
    """events.csv with the columns that the README names; the ids of its members, in their order."""
    world = simulate(SimulationConfig(members=350, days=DAYS, start=START, truth_as_of=()), np.random.default_rng(4))
    log = world.events.select("member_id", "timestamp", "type", amount="value")
    log.write_csv(folder / "events.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    return log["member_id"].unique(maintain_order=True).to_list()


@contextmanager
def served(command: list[str], folder: Path, port: int) -> Iterator[Served]:
    """The service of the last line, on a free port and with its clock stopped after the log; ended by the block's end."""
    day_after = START + timedelta(days=DAYS)
    told = folder / "told.txt"
    with told.open("w") as output:
        arguments = [*command, "--port", str(port), "--as-of", str(day_after)]
        process = subprocess.Popen(arguments, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            await_ready(process, port, told)
            yield Served(f"http://127.0.0.1:{port}", re.search(r"kw_\S+", written(told))[0])
        finally:
            process.terminate()
            exit_code = process.wait()
    assert exit_code == 0


def await_ready(process: subprocess.Popen[bytes], port: int, told: Path) -> None:
    ready = f"http://127.0.0.1:{port}/readyz"
    wait_until(lambda: process.poll() is not None or httpx2.get(ready, timeout=PATIENCE_SECONDS, verify=PLAIN).is_success)
    assert process.poll() is None, written(told)


def missing_keys(shown: Any, real: Any, at: str = "answer") -> list[str]:
    """Keys of a shown answer that a real one does not have."""
    match shown, real:
        case dict(), dict():
            absent = [f"{at}.{key}" for key in shown.keys() - real.keys()]
            return absent + [found for key in shown.keys() & real.keys() for found in missing_keys(shown[key], real[key], f"{at}.{key}")]
        case [first, *_], [other, *_]:
            return missing_keys(first, other, f"{at}[]")
    return []


def test_a_newcomer_walks_the_five_lines_from_a_csv_to_a_score(tmp_path, free_port, monkeypatch):
    members = write_log(tmp_path)
    *before, serve = five_lines()
    assert [line[:2] for line in (*before, serve)] == [["keepwell", verb] for verb in ("init", "check", "train", "promote", "serve")]
    monkeypatch.chdir(tmp_path)
    for _, *typed in before:
        said = keepwell(*typed)
        assert said.code == 0, said
    curl = next(block for block in blocks(READMES[0], "sh") if "/score" in block)
    path = re.search(r"http://127\.0\.0\.1:8000(\S+)", curl)[1]
    body = json.loads(re.search(r"-d '(.*)'", curl)[1])
    with served(serve, tmp_path, free_port) as service:
        answers = [service.post(path, body | {"member_id": member}) for member in members[:40]]
    scored = [answer for answer in answers if answer["churn"]["status"] == "scored"]
    acted = next(answer for answer in scored if answer["actions"])
    assert all(0 < answer["churn"]["probability"] < 1 and answer["reasons"] for answer in scored)
    assert missing_keys(json.loads(blocks(READMES[0], "json")[0]), acted) == []


# Commands and settings


def commands() -> dict[str, Any]:
    """By their names, those of a group with its name before them."""
    listed = typer.main.get_command(app).commands
    groups = {name: getattr(command, "commands", None) for name, command in listed.items()}
    alone = {name: command for name, command in listed.items() if groups[name] is None}
    return alone | {f"{group} {name}": command for group, inner in groups.items() for name, command in (inner or {}).items()}


def section(name: str) -> dict[str, list[str]]:
    """Rows of the table under the heading of a command."""
    return table_rows(re.split(r"^## ", written(COMMANDS).partition(f"\n## keepwell {name}\n")[2], flags=re.MULTILINE)[0])


def documented_name(parameter: Any) -> str:
    return parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(sorted(parameter.opts, key=len))


def test_every_command_has_a_section_and_every_section_a_command():
    assert re.findall(r"^## keepwell ([\w -]+)$", written(COMMANDS), flags=re.MULTILINE) == list(commands())


@pytest.mark.parametrize("name", list(commands()))
def test_every_option_of_a_command_is_documented_and_no_other(name):
    parameters = {documented_name(parameter) for parameter in commands()[name].params if parameter.name != "help"}
    assert set(section(name)) == parameters


@pytest.mark.parametrize("name", list(commands()))
def test_the_documented_defaults_are_those_of_the_command(name):
    rows = section(name)
    for parameter in commands()[name].params:
        shown = rows[documented_name(parameter)][-1].strip("| ") if parameter.name != "help" else ""
        if parameter.required:
            assert shown == "required", parameter.name
        elif parameter.name != "help" and parameter.default not in (None, False):
            default = ",".join(parameter.default) if parameter.multiple else parameter.default
            assert shown == f"`{default}`", parameter.name


def test_every_problem_is_documented_with_its_status():
    rows = [
        row.split("|")[1:3] for row in (ROOT / "docs" / "requests.md").read_text(encoding="utf-8").splitlines() if row.startswith("| `")
    ]
    told = {(name, int(status)) for names, status in rows for name in re.findall("`([a-z-]+)`", names)}
    assert told == {(kind.name, kind.status) for kind in PROBLEM_TYPES}


def test_every_environment_variable_that_is_read_or_set_is_documented():
    use = re.compile(r"environ(?:ment)?(?:\.get\(|\.setdefault\(|\[)\s*\"(\w+)\"")
    used = {name for path in SOURCES for name in use.findall(written(path))}
    documented = set(table_rows(written(COMMANDS).partition("## Environment")[2]))
    assert documented == used


@each_readme
def test_a_readme_names_the_two_urls_that_move_the_state(path):
    assert {"KEEPWELL_MLFLOW_URI", "KEEPWELL_STORE_URL"} <= table_rows(written(path)).keys()


# The declaration


@dataclass(frozen=True)
class Key:
    path: str
    field: FieldInfo


def model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that an annotation holds, and whether it holds a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in get_args(annotation):
        model, many = model_in(part)
        if model is not None:
            return model, many or get_origin(annotation) is tuple
    return None, False


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    for name, field in model.model_fields.items():
        inner, many = model_in(field.annotation)
        path = f"{prefix}{name}{'[]' if many else ''}"
        yield Key(path, field)
        if inner is not None:
            yield from keys_of(inner, f"{path}.")


@cache
def declared() -> dict[str, FieldInfo]:
    """Every key but the two languages of each label, which are said once."""
    return {key.path: key.field for key in keys_of(Community) if not key.path.endswith(LABEL_KEYS)}


def default_in_words(field: FieldInfo) -> str:
    match field.default:
        case _ if field.is_required():
            return "required"
        case None:
            return "left out"
        case BaseModel():
            return "those of its keys"
        case bool(value):
            return f"`{str(value).lower()}`"
        case tuple(values):
            return f"`[{', '.join(map(str, values))}]`"
        case value:
            return f"`{value}`"


def test_every_key_of_the_declaration_is_documented_and_no_other():
    assert set(table_rows(written(DECLARATION))) == set(declared())


def test_the_documented_defaults_are_those_of_the_declaration():
    rows = table_rows(written(DECLARATION))
    shown = {path: rows[path][-1].strip("| ") for path in declared()}
    assert shown == {path: default_in_words(field) for path, field in declared().items()}


def test_every_key_has_a_meaning_and_every_number_a_unit():
    rows = table_rows(written(DECLARATION))
    unitless = {"format"}
    numbers = [path for path, field in declared().items() if isinstance(field.default, int | float) and not isinstance(field.default, bool)]
    assert [path for path, cells in rows.items() if len(cells[1]) < len("Of it.")] == []
    assert [path for path in numbers if path not in unitless and not rows[path][2].strip()] == []


def test_the_examples_of_rules_and_scenes_are_declarations():
    """Each is put into a community that has the tiers, signals and consents that it names."""
    examples = re.findall(r"^```yaml\n(.*?)^```$", written(ROOT / "docs/rules.md"), flags=re.DOTALL | re.MULTILINE)
    scenes, experiments = (
        [one for example in examples for one in yaml.safe_load(example).get(key, [])] for key in ("scenes", "experiments")
    )
    arms: dict[str, dict[str, Any]] = {}
    for arm in (arm for example in examples for arm in yaml.safe_load(example)["interventions"]):
        name = arm.pop("id")
        arms[name] = arms.get(name, {}) | arm
    declared = community(
        *(intervention(**{"name": name, "channels": ["app_push"], **merged}) for name, merged in arms.items()),
        scenes=scenes,
        experiments=experiments,
        signals=[signal("purchase"), signal("comment")],
        members={"path": "members.csv", "member": "m", "joined": "j", "consents": {"offers": "likes_offers"}},
        lifecycle={"tiers": [tier(name, floor, 1) for floor, name in enumerate(("base", "active", "KOC", "KOL"))]},
    )
    assert len(examples) == 4
    assert len(declared.scenes) == 5


# Both languages, links, folders


@each_document
def test_every_link_to_a_file_leads_somewhere(path):
    targets = re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"", written(path))
    files = [target for pair in targets for target in pair if target and "://" not in target]
    assert [target for target in files if not (path.parent / target).exists()] == []


@each_document
def test_a_document_names_no_folder_of_the_machine_it_was_written_on(path):
    assert re.findall(r"(?<![\w.])/(?:root|home|Users|work|mnt|tmp)/\S+", written(path)) == []


def test_both_readmes_give_the_same_commands_and_answers():
    english, chinese = READMES
    assert blocks(english, "sh") == blocks(chinese, "sh")
    assert blocks(english, "json") == blocks(chinese, "json")
    assert blocks(english, "python") == blocks(chinese, "python")


def test_both_readmes_have_the_same_sections():
    levels = [re.findall(r"^#+", re.sub(r"```.*?```", "", written(path), flags=re.DOTALL), flags=re.MULTILINE) for path in READMES]
    assert levels[0] == levels[1]
    assert len(levels[0]) > 6


def test_both_readmes_link_to_the_same_files():
    english, chinese = (set(re.findall(r"\]\(([^)]+)\)", written(path))) for path in READMES)
    assert english - {"README.zh-CN.md"} == chinese - {"README.md"}


@each_readme
def test_the_map_of_the_folders_names_every_folder(path):
    ignored = [line.rstrip("/") for line in written(ROOT / ".gitignore").split()]
    folders = {entry.name for entry in ROOT.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    named = set(re.findall(r"^\| \[(\w+)/\]", written(path), flags=re.MULTILINE))
    assert named == {name for name in folders if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)}


@each_readme
def test_a_readme_shows_a_member_report_that_loads_quickly(path):
    picture = ROOT / re.search(r'<img src="([^"]+)"', written(path))[1]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000


@each_readme
def test_the_targets_of_make_in_a_readme_exist(path):
    named = set(re.findall(r"^make (\w+)$", "".join(blocks(path, "sh")), flags=re.MULTILINE))
    assert {"demo", "test"} == named
    assert named <= set(re.findall(r"^(\w+):", written(ROOT / "Makefile"), flags=re.MULTILINE))
