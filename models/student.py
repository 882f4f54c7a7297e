"""One small LightGBM model that repeats what a costly ensemble says: an output for each intervention, all in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from models.booster import Booster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Floats

END = "end of trees"


@dataclass(frozen=True)
class Student:
    """The text of a LightGBM model with `outputs` outputs."""

    outputs: int
    model_text: str

    @cached_property
    def booster(self) -> Booster:
        return Booster(self.model_text)

    def __call__(self, features: Floats) -> Floats:
        """(n, outputs)."""
        return self.booster.margins(features)

    def contributions(self, features: Floats) -> Floats:
        """Exact TreeSHAP (Lundberg et al. 2020), shape (n, outputs, d + 1), the base last; they add up to the output."""
        return self.booster.contributions(features)

    def contributions_to(self, features: Floats, output: int) -> Floats:
        """`contributions` of one output alone, shape (n, d + 1): the trees of the others are not walked."""
        return self._of_one[output].contributions(features)[:, 0]

    @cached_property
    def _of_one(self) -> tuple[Booster, ...]:
        return tuple(Booster(text) for text in separated(self.model_text, self.outputs))


def merged(texts: Sequence[str]) -> str:
    """Models of one output each as one model with an output for each: tree i belongs to output i modulo their number.

    LightGBM's model text is a head, the trees, and a tail that is not needed to predict. A call costs 50 us whatever it asks for, so one
    call for all is the cheapest. Shorter models are filled up with trees of one leaf that say 0.
    """
    heads, trees = zip(*(_parts(text) for text in texts), strict=True)
    most = max(map(len, trees))
    bodies = [each[number] if number < len(each) else _SILENT for number in range(most) for each in trees]
    return _joined(heads[0], bodies, len(texts))


def separated(text: str, outputs: int) -> list[str]:
    """A model of its own for each output of a merged one."""
    head, bodies = _parts(text)
    return [_joined(head, bodies[output::outputs], 1) for output in range(outputs)]


def _joined(head_text: str, bodies: Sequence[str], outputs: int) -> str:
    blocks = [f"Tree={number}\n{body}\n\n\n" for number, body in enumerate(bodies)]
    head = [_with_outputs(line, outputs) for line in head_text.split("\n") if not line.startswith("tree_sizes=")]
    sizes = "tree_sizes=" + " ".join(str(len(block)) for block in blocks)
    return "\n".join(head).rstrip() + f"\n{sizes}\n\n" + "".join(blocks) + f"{END}\n"


_SILENT = """num_leaves=1
num_cat=0
split_feature=
split_gain=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0
leaf_weight=
leaf_count=
internal_value=
internal_weight=
internal_count=
is_linear=0
shrinkage=1"""


def _parts(text: str) -> tuple[str, list[str]]:
    """Head, and the body of each tree without its number."""
    head, *trees = text.partition(f"\n{END}")[0].split("\nTree=")
    return head, [tree.split("\n", 1)[1].rstrip() for tree in trees]


def _with_outputs(line: str, outputs: int) -> str:
    key = line.split("=", 1)[0]
    if key in {"num_class", "num_tree_per_iteration"}:
        return f"{key}={outputs}"
    objective = "regression" if outputs == 1 else f"multiclassova num_class:{outputs} sigmoid:1"
    return f"objective={objective}" if key == "objective" else line
