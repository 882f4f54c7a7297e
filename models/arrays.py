"""Names for arrays by what they hold; shapes stand in the docstrings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
