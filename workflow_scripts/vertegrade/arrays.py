"""Arrays: their types in signatures, .npy files of them without pickle, and random numbers by name."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

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


class ArrayParts:
    """An array that is written part by part along its first axis, so that it never is in memory as a whole."""

    def __init__(self, handle: IO[bytes], shape: tuple[int, ...], dtype: Any) -> None:
        self.handle, self.shape, self.dtype, self.written = handle, shape, np.dtype(dtype), 0
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)

    def write(self, part: np.ndarray) -> None:
        """The next rows; ValueError where they have another shape or type."""
        if part.shape[1:] != self.shape[1:] or part.dtype != self.dtype:
            raise ValueError(f"{part.dtype}{part.shape} is no part of {self.dtype}{self.shape}")
        self.handle.write(np.ascontiguousarray(part).data)
        self.written += len(part)


@contextmanager
def array_in_parts(path: str | Path, shape: tuple[int, ...], dtype: Any) -> Iterator[ArrayParts]:
    """Write the .npy that `write_array` would write of all parts together; ValueError where rows are missing."""
    with new_file(path) as temporary, temporary.open("wb") as handle:
        parts = ArrayParts(handle, shape, dtype)
        yield parts
        if parts.written != shape[0]:
            raise ValueError(f"{path}: {parts.written} of {shape[0]} rows were written")


def read_array(path: str | Path, in_memory: bool = False) -> np.ndarray:
    """Read a .npy, memory-mapped unless `in_memory`; ValueError where it is damaged."""
    try:
        return np.load(path, mmap_mode=None if in_memory else "r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a whole array of plain numbers; remove it, so that it is made again") from error
