"""Files from elsewhere, read within bounds: no name leads elsewhere, no head claims more than there is, and nothing read is code."""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any, Never

import numpy as np

from models.errors import ModelRefused

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 << 20
"""Of one file, and of all that an archive unfolds to."""
MAX_JSON_BYTES = 32 << 20


def plain_file(folder: Path, name: str) -> Path:
    """The file of this name that lies in the folder itself; raises ModelRefused for a path, a link or a file too large."""
    path = folder / name
    if not name or path.name != name or path.parent != folder or path.is_symlink():
        raise ModelRefused(f'engine file "{name}" is no plain file of its folder; fetch the model again, or train again')
    if not path.is_file():
        raise ModelRefused(f'engine file "{name}" is missing; fetch the model again, or train again')
    if path.stat().st_size > MAX_BYTES:
        raise ModelRefused(f'engine file "{name}" has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read')
    return path


def read_json(path: Path) -> dict[str, Any]:
    """An object. NaN and infinity, which are no JSON, are refused too; raises ModelRefused."""
    try:
        return _object(path)
    except (OSError, ValueError, RecursionError) as fault:
        message = f'engine file "{path.name}" is missing or damaged ({fault}); fetch the model again, or train again'
        raise ModelRefused(message) from None


def _object(path: Path) -> dict[str, Any]:
    """Raises ValueError, RecursionError."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES:,} bytes")
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    if not isinstance(content, dict):
        raise ValueError("it holds no object")  # noqa: TRY004 - of the file, and not of an argument
    return content


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an NPZ; raises ModelRefused where one is of objects, or claims another size than it has."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _arrays(archive)
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as fault:
        message = f'engine file "{path.name}" holds no arrays that can be read ({fault}); fetch the model again, or train again'
        raise ModelRefused(message) from None


def _arrays(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ValueError(f"it unfolds to more than {MAX_BYTES:,} bytes")
    return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """Raises ValueError."""
    with archive.open(entry) as file:
        _check_claim(file, entry)
    with archive.open(entry) as file:
        read: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return read


def _check_claim(file: IO[bytes], entry: zipfile.ZipInfo) -> None:
    version = np.lib.format.read_magic(file)
    read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_head(file)
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} holds objects")
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size != entry.file_size - file.tell():
        raise ValueError(f"{entry.filename} claims {size:,} bytes and has {entry.file_size - file.tell():,}")
