"""The notebooks run with few members, and what they printed when they were run as they stand holds."""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import FOLDER, printed, run, smaller

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CHURN = "01-from-a-log-to-a-churn-model.ipynb"
WORTH = "02-what-an-intervention-is-worth.ipynb"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
NUMBER = r"[-+]?\d+(?:\.\d+)?"

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def stored(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@cache
def shown(name: str) -> str:
    """All text that the cells put out when the notebook was run for the pages, tables as plain text."""
    return printed(stored(FOLDER / name))


def after(label: str, text: str) -> float:
    """The number that stands right behind a label."""
    return float(re.search(re.escape(label) + f" *({NUMBER})", text)[1])


def row(text: str, *heads: str) -> list[float]:
    """Of the printed table whose row begins with these cells, the other cells of that row."""
    lines = (re.split("[│┆]", line)[1:-1] for line in text.splitlines() if line.startswith("│"))
    cells = next(cells for line in lines if tuple((cells := [cell.strip() for cell in line])[: len(heads)]) == heads)
    return [float(cell) for cell in cells[len(heads) :]]


def test_there_are_two_notebooks():
    assert [path.name for path in NOTEBOOKS] == [CHURN, WORTH]


@each_notebook
def test_a_notebook_defines_nothing(path):
    sources = ("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")) for cell in code_cells(stored(path)))
    assert [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, DEFINITIONS)] == []


@each_notebook
def test_a_notebook_keeps_the_outputs_of_one_run_from_top_to_bottom(path):
    cells = code_cells(stored(path))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize(("name", "members"), [(CHURN, 300), (WORTH, 1_000)])
def test_a_notebook_runs_through_and_tells_as_much_of_fewer_members(name, members):
    """`make bench` runs it as it stands, and tells where it no longer prints what is stored."""
    notebook = stored(FOLDER / name)
    again = run(smaller(notebook, members), FOLDER)
    kinds = [[[output.output_type for output in cell.outputs] for cell in code_cells(each)] for each in (notebook, again)]
    assert kinds[0] == kinds[1]


def test_the_churn_model_is_clearly_better_than_the_plain_rules_and_knows_how_large_a_risk_is():
    text = shown(CHURN)
    assert after("AUC gain over the better rule", text) > 0.03
    assert after("AUC gain over the better rule", text) == pytest.approx(
        after("AUC: model", text) - max(after("│ recency      ┆", text), after("│ rfm_logistic ┆", text)), abs=0.002
    )
    assert after("mean predicted risk", text) == pytest.approx(after("mean true risk", text), abs=0.03)


def test_no_model_of_the_log_ranks_members_as_well_as_their_true_risk():
    text = shown(CHURN)
    assert after("AUC: model", text) < after("the true risk itself", text)
    assert after("true risk: model", text) > after(", rfm logistic", text) > 0.3


def test_the_reasons_of_a_member_add_up_to_the_distance_from_the_typical_risk():
    told = [line for line in shown(CHURN).splitlines() if " points  " in line]
    *points, total = (float(line.split()[0]) for line in told)
    typical, risk = (float(found) for found in re.findall(r"([\d.]+)%", told[-1]))
    assert sum(points) == pytest.approx(total, abs=0.05 * len(points) + 0.05)
    assert total == pytest.approx(risk - typical, abs=0.11)


def test_snapshots_split_at_random_promise_what_the_test_does_not_keep():
    text = shown(CHURN)
    promised, _ = row(text, "at random", "validation")
    kept, _ = row(text, "at random", "came to pass")
    foretold, _ = row(text, "by time, with a gap", "validation")
    came, _ = row(text, "by time, with a gap", "came to pass")
    assert promised - kept > 0.06
    assert abs(foretold - came) < 0.04


def test_columns_measured_at_the_end_are_named_and_columns_fixed_at_joining_are_not():
    text = shown(CHURN)
    assert re.findall(r"^(\w+): correlation", text, flags=re.MULTILINE) == ["events_in_all", "last_seen"]
    assert after("with last_seen", text) > after("AUC of that model", text) + 0.05


def test_weights_find_the_true_effects_where_the_naive_difference_does_not():
    text = shown(WORTH)
    assert after("naive", text.partition("away from the truth")[2]) > 3 * after("weighted", text.partition("naive ")[2])
    assert after("largest error in standard errors: weighted", text) < 3.5
    naive, _, _, truth = row(text, "recognition_badge")
    assert truth == 0
    assert naive > 2


def test_calls_to_the_riskiest_members_cost_more_than_they_bring():
    text = shown(WORTH)
    orders = ("highest risk", "highest risk x value", "believed uplift x value - cost", "true uplift x value - cost")
    net = [row(text, order)[-1] for order in orders]
    assert net == sorted(net)
    assert net[0] < 0 < net[1]
    assert after("of the 300 riskiest members", text) < 30


def test_a_believed_effect_has_no_room_where_nobody_leaves_or_everybody_does():
    believed = [float(found) for found in re.findall(r"a call is believed to keep +([\d.]+)", shown(WORTH))]
    most = believed.index(max(believed))
    assert believed[: most + 1] == sorted(believed[: most + 1])
    assert believed[most:] == sorted(believed[most:], reverse=True)
    assert max(believed[0], believed[-1]) < max(believed) / 5


def test_the_probabilities_of_a_choice_sum_to_one_and_the_best_has_most():
    lines = re.findall(rf"^  (\w+) +priority +({NUMBER}) +probability ({NUMBER})$", shown(WORTH), flags=re.MULTILINE)
    assert len(lines) == 9
    assert sum(float(chance) for *_, chance in lines) == pytest.approx(1, abs=0.005 * len(lines))
    assert max(lines, key=lambda line: float(line[1])) == max(lines, key=lambda line: float(line[2]))


def test_exploration_costs_more_the_more_there_is_and_less_where_eligibility_comes_first():
    given_up = [float(found) for found in re.findall(r"(\d+\.\d+) a member given up", shown(WORTH))]
    free, eligible = given_up[:3], given_up[3:]
    assert free == sorted(free)
    assert all(less < more for less, more in zip(eligible, free, strict=True))
