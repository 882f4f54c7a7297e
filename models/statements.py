"""A sentence kept as the key of a text and the figures in it, and worded for whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from models.texts import MINUS, money, text, with_counts

if TYPE_CHECKING:
    from models.declared import Language

AS_TOLD = "proof.as_told"


@dataclass(frozen=True)
class Statement:
    """`key` names the text, `told` what stands in it: numbers, names, differences of money, or statements that follow one another.

    `detail` is for whoever runs the service: in English, on the command line and on no page.
    """

    key: str
    told: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""

    def __str__(self) -> str:
        """In English, with its detail."""
        said = self.text_in("en")
        return f"{said}: {self.detail}" if self.detail else said

    def text_in(self, language: Language) -> str:
        worded = {name: _worded(language, figure) for name, figure in self.told.items()}
        return text(language, self.key, **with_counts(language, worded))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """An amount of money by which two things differ: it is written with its sign."""

    amount: float
    currency: str


class Plain(float):
    """A number that is formatted with a true minus."""

    def __format__(self, form: str) -> str:
        return super().__format__(form).replace("-", MINUS)


def _worded(language: Language, figure: object) -> object:
    if isinstance(figure, Difference):
        return money(language, figure.amount, figure.currency, signed=True)
    if isinstance(figure, Statement):
        return figure.text_in(language)
    if isinstance(figure, Sequence) and not isinstance(figure, str):
        return text(language, "unit.clauses").join(str(_worded(language, one)) for one in figure)
    return Plain(figure) if isinstance(figure, float) else figure


def statement_of(kept: object) -> Statement:
    """Of one that was kept as a dict; what was kept as an English sentence before sentences had keys is told as it was."""
    if isinstance(kept, Statement):
        return kept
    if isinstance(kept, str):
        return Statement(AS_TOLD, {"said": kept})
    if not isinstance(kept, Mapping):
        message = f"a statement is kept as a table, not as {kept!r}"
        raise TypeError(message)
    return Statement(kept["key"], {name: _figure(figure) for name, figure in kept["told"].items()}, kept.get("detail", ""))


def _figure(kept: object) -> object:
    if isinstance(kept, Mapping):
        return Difference(**kept) if "amount" in kept else statement_of(kept)
    if isinstance(kept, Sequence) and not isinstance(kept, str):
        return tuple(_figure(one) for one in kept)
    return kept


KeptStatement = Annotated[Statement, BeforeValidator(statement_of)]
