"""Packed crops, or patches, of several shards as one sequence, of which only those taken are in memory."""

import hashlib
from collections.abc import Sequence

import numpy as np

CHUNK = 256  # crops that are read at once where all are read in order


class Crops:
    """Crops of several arrays in order. Memory-mapped arrays stay on disk until a crop is taken.

    arrays: int16 HU, each (N, S, H, W) with the same S, H and W, or patches (N, C, S, H, W). rows: which of each array
    count, in order; all of them if left out. ValueError where the arrays do not fit together.
    """

    def __init__(self, arrays: Sequence[np.ndarray], rows: Sequence[np.ndarray] | None = None) -> None:
        given = [np.arange(len(array)) for array in arrays] if rows is None else rows
        # A shard without crops says nothing about their shape.
        parts = [part for part in zip(arrays, given, strict=True) if len(part[0])] or list(
            zip(arrays[:1], given[:1], strict=True)
        )
        shapes = {array.shape[1:] for array, _ in parts}
        if len(shapes) != 1 or any(array.ndim not in (4, 5) or array.dtype != np.int16 for array, _ in parts):
            found = sorted({f"{array.dtype}{array.shape}" for array in arrays}) or "nothing"
            raise ValueError(
                f"int16 crops (N, S, H, W), or patches (N, C, S, H, W), of one shape are needed, found {found}"
            )
        self._parts = [part for part in parts if len(part[1])]
        self.shape: tuple[int, ...] = parts[0][0].shape[1:]  # of a crop
        self.height, self.width = self.shape[-2:]
        self._ends = np.cumsum([len(rows) for _, rows in self._parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The crops of these positions, int16 (B, S, H, W) or (B, C, S, H, W)."""
        taken = np.empty((len(indices), *self.shape), np.int16)
        which = np.searchsorted(self._ends, indices, side="right")
        starts = self._ends - [len(rows) for _, rows in self._parts]
        for place, (part, index) in enumerate(zip(which, indices, strict=True)):
            array, rows = self._parts[part]
            taken[place] = array[rows[index - starts[part]]]
        return taken

    def sha256(self) -> str:
        """Hash of all values in order, whatever the shards."""
        digest = hashlib.sha256(repr((len(self), *self.shape)).encode())
        for start in range(0, len(self), CHUNK):
            digest.update(self.take(np.arange(start, min(start + CHUNK, len(self)))).data)
        return digest.hexdigest()
