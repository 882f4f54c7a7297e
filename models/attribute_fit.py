"""Which labels of the declared attributes are frequent enough to count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from feature_engine.encoding import RareLabelEncoder

from models.attributes import NO_ATTRIBUTES, OTHER, Attribute, AttributeEncoding, as_numbers

if TYPE_CHECKING:
    import polars as pl

    from models.arrays import Integers

RARE_SHARE = 0.01
MOST_LEVELS = 20


def fit_attributes(texts: pl.DataFrame | None, member: Integers) -> AttributeEncoding:
    """Learned on the training rows: a number is what reads as one wherever it is known, all else are labels.

    A label is frequent with at least 1 % of the rows that have one; of more than 20 the most frequent count. An attribute without any
    value or without a frequent label is left out.
    """
    if texts is None:
        return NO_ATTRIBUTES
    found = (_fitted(texts[name].gather(member).drop_nulls()) for name in texts.columns)
    return AttributeEncoding(tuple(attribute for attribute in found if attribute is not None))


def _fitted(texts: pl.Series) -> Attribute | None:
    if texts.is_empty():
        return None
    if not np.isnan(as_numbers(texts)).any():
        return Attribute(texts.name)
    encoder = RareLabelEncoder(tol=RARE_SHARE, n_categories=0, max_n_categories=MOST_LEVELS, ignore_format=True)
    frequent = encoder.fit(pd.DataFrame({texts.name: texts.to_list()})).encoder_dict_[texts.name]
    levels = tuple(str(level) for level in frequent if level != OTHER)
    return Attribute(texts.name, levels) if levels else None
