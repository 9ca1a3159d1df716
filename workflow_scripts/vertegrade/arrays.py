"""Arrays: their types in signatures, .npy files of them without pickle, and random numbers by name."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertegrade.files import new_file

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
AnyFloats = NDArray[np.floating[Any]]


def generator_of(key: str) -> np.random.Generator:
    """Random numbers that follow from a text alone: those of one scan do not depend on what else is drawn."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array as .npy (no pickle): what `np.save` writes, but an error of the disk keeps its name."""
    array = np.ascontiguousarray(array)
    with new_file(path) as temporary, temporary.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(array))
        handle.write(array.data)


def read_array(path: str | Path, in_memory: bool = False) -> np.ndarray:
    """Read a .npy, memory-mapped unless `in_memory`; ValueError where it is damaged."""
    try:
        return np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a whole array of plain numbers; remove it, so that it is made again") from error
