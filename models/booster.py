"""A fitted LightGBM model that is asked, through LightGBM's C library alone.

The package `lightgbm` imports scikit-learn and pandas where they are installed, two to three seconds that only fitting needs, and its
`predict` spends 50 us on choosing how to ask.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from models.arrays import Floats
from models.cores import in_parts
from models.errors import ModelRefused

RAW_SCORE, CONTRIBUTIONS = 1, 3
"""C_API_PREDICT_RAW_SCORE and C_API_PREDICT_CONTRIB of LightGBM/c_api.h."""
ELEMENT_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}
FEWEST_MARGINS, FEWEST_CONTRIBUTIONS = 64, 16
"""Rows of a part that another core gets: for fewer, to wake it costs as much as it saves."""
ALL_TREES = -1
FEW_ROWS = 4
"""To read the settings of a call takes LightGBM as long as some rows; asked one by one they are read once for all."""
ONE_THREAD = b"num_threads=1 verbosity=-1"


class Booster:
    """Read from the text of a model; raises ModelRefused where LightGBM cannot read it. May be asked by several threads at once."""

    def __init__(self, model_text: str) -> None:
        self._model_text = model_text
        self._handle = ctypes.c_void_p()
        trees = ctypes.c_int()
        _checked(_library().LGBM_BoosterLoadModelFromString(model_text.encode(), ctypes.byref(trees), ctypes.byref(self._handle)))
        weakref.finalize(self, _library().LGBM_BoosterFree, self._handle)
        self._ways: dict[tuple[int, np.dtype[Any]], ctypes.c_void_p] = {}
        self.outputs = self._whole("LGBM_BoosterGetNumClasses")
        self.features = self._whole("LGBM_BoosterGetNumFeature")

    def __reduce__(self) -> tuple[type[Booster], tuple[str]]:
        """The handle is an address in this process."""
        return Booster, (self._model_text,)

    def margins(self, features: Floats, first_tree: int = 0, trees: int = ALL_TREES) -> Floats:
        """Sums of leaves, shape (n, outputs); `trees` counts one of each output as one."""
        return self._asked(features, RAW_SCORE, self.outputs, first_tree, trees)

    def contributions(self, features: Floats) -> Floats:
        """Exact TreeSHAP (Lundberg et al. 2020), path dependent, shape (n, outputs, n_features + 1), base last; they add up to margins."""
        told = self._asked(features, CONTRIBUTIONS, self.outputs * (self.features + 1), 0, ALL_TREES)
        return told.reshape(len(features), self.outputs, self.features + 1)

    def _asked(self, features: Floats, what: int, width: int, first_tree: int, trees: int) -> Floats:
        if features.ndim != 2 or features.shape[1] != self.features:
            raise ModelRefused(f"a model of {self.features} features was asked with a table of shape {features.shape}; train again")
        data = np.ascontiguousarray(features, dtype=features.dtype if features.dtype in ELEMENT_TYPES else np.float64)
        told = np.empty((len(data), width))

        def ask(rows: slice) -> None:
            self._tell(data[rows], told[rows], what, first_tree, trees)

        if len(data) <= FEW_ROWS and (first_tree, trees) == (0, ALL_TREES):
            self._tell_one_by_one(data, told, what)
        else:
            in_parts(len(data), FEWEST_CONTRIBUTIONS if what == CONTRIBUTIONS else FEWEST_MARGINS, ask)
        return told

    def _tell(self, data: Floats, told: Floats, what: int, first_tree: int, trees: int) -> None:
        """LightGBM's own threads are not asked for: their number is one for all of its callers, who overrun each other's buffers."""
        written = ctypes.c_int64()
        code = _library().LGBM_BoosterPredictForMat(
            self._handle,
            data.ctypes.data,
            ELEMENT_TYPES[data.dtype],
            len(data),
            self.features,
            1,
            what,
            first_tree,
            trees,
            ONE_THREAD,
            ctypes.byref(written),
            told.ctypes.data,
        )
        _checked(code)
        if written.value != told.size:
            raise ModelRefused(f"a model told {written.value} numbers where {told.size} belong; train again")

    def _tell_one_by_one(self, data: Floats, told: Floats, what: int) -> None:
        way, written = self._way(what, data.dtype), ctypes.c_int64()
        asked, answered = data.ctypes.data, told.ctypes.data
        for row in range(len(data)):
            _checked(
                _library().LGBM_BoosterPredictForMatSingleRowFast(
                    way, asked + row * data.strides[0], ctypes.byref(written), answered + row * told.strides[0]
                )
            )
            if written.value != told.shape[1]:
                raise ModelRefused(f"a model told {written.value} numbers where {told.shape[1]} belong; train again")

    def _way(self, what: int, element: np.dtype[Any]) -> ctypes.c_void_p:
        """LightGBM keeps one for each kind of answer, of all trees here."""
        if (what, element) not in self._ways:
            way = ctypes.c_void_p()
            _checked(
                _library().LGBM_BoosterPredictForMatSingleRowFastInit(
                    self._handle, what, 0, ALL_TREES, ELEMENT_TYPES[element], self.features, ONE_THREAD, ctypes.byref(way)
                )
            )
            weakref.finalize(self, _library().LGBM_FastConfigFree, way)
            self._ways[what, element] = way
        return self._ways[what, element]

    def _whole(self, function: str) -> int:
        told = ctypes.c_int()
        _checked(getattr(_library(), function)(self._handle, ctypes.byref(told)))
        return told.value


@cache
def _library() -> Any:  # noqa: ANN401 - ctypes types no function of a library
    """Found and loaded by LightGBM's own module for that, on its own: the package around it would import the rest."""
    package = find_spec("lightgbm")
    if package is None or package.origin is None:
        raise ModelRefused("LightGBM is not installed, which models are asked with; install keepwell anew")
    spec = spec_from_file_location("lightgbm_libpath", Path(package.origin).with_name("libpath.py"))
    finding: Any = module_from_spec(spec)  # type: ignore[arg-type]  # a file that ends in .py always has a loader
    spec.loader.exec_module(finding)  # type: ignore[union-attr]  # the same
    library = finding._LIB  # noqa: SLF001 - the library has no other name there
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    whole, address = ctypes.c_int, ctypes.c_void_p
    library.LGBM_BoosterFree.argtypes = [address]
    library.LGBM_BoosterPredictForMat.argtypes = [
        address, address, whole, ctypes.c_int32, ctypes.c_int32, whole, whole, whole, whole, ctypes.c_char_p, address, address,
    ]  # fmt: skip
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [address, address, address, address]
    library.LGBM_FastConfigFree.argtypes = [address]
    return library


def _checked(code: int) -> None:
    if code != 0:
        raise ModelRefused(f"LightGBM cannot read or ask a model ({_library().LGBM_GetLastError().decode(errors='replace')}); train again")
