"""Vertebrae of several shards as one sequence: their slices, which stay on disk until they are taken, and labels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from vertegrade.arrays import read_array
from vertegrade.metastasis.classes import CLASSES
from vertegrade.metastasis.slices import HU, INSIDE
from vertegrade.metastasis.tables import BONE_LABELS, BONE_SLICES
from vertegrade.settings.metastasis import BoneSliceSettings
from vertegrade.tables import KEY, read_table


class Vertebrae:
    """labels: BONE_LABELS, in the order of this sequence. answers, sides: of vertebrae (N, 2), (N,), -1 where unknown.

    slice_answers, slice_sides: of their slices (N, S, 2), (N, S). classes: place in CLASSES (N,), -1 where unknown.
    """

    def __init__(self, labels: pd.DataFrame, known: NDArray[np.int64], arrays: Sequence[np.ndarray]) -> None:
        """known: blastic, lytic, posterolateral of slices (N, S, 3). labels has a column `shard`, place in arrays."""
        self.labels, self._arrays, self._known = labels.reset_index(drop=True), arrays, known
        self._shard, self._row = labels["shard"].to_numpy(), labels["row"].to_numpy()
        self.answers = labels[["blastic", "lytic"]].to_numpy(np.int64)
        self.sides = labels["posterolateral"].to_numpy(np.int64)
        self.slice_answers, self.slice_sides = known[..., :2], known[..., 2]
        names = labels["bone_class"].tolist()
        self.classes = np.array([CLASSES.index(name) if name else -1 for name in names], np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, chosen: NDArray[np.bool_]) -> "Vertebrae":
        """Those of which `chosen` (N,) is true."""
        return Vertebrae(self.labels[chosen], self._known[chosen], self._arrays)

    def take(self, places: NDArray[np.intp]) -> NDArray[np.int16]:
        """HU and mask of slices, int16 (B, S, 2, H, W)."""
        return np.stack([self._arrays[self._shard[at]][self._row[at]][:, [HU, INSIDE]] for at in places])

    def codes(self, place: int, channel: int) -> NDArray[np.int16]:
        """One channel of the slices of a vertebra, (S, H, W)."""
        return np.asarray(self._arrays[self._shard[place]][self._row[place]][:, channel])

    def sha256(self) -> str:
        """Hash of all values and labels in order, whatever the shards."""
        columns = [*KEY, "blastic", "lytic", "posterolateral"]
        digest = hashlib.sha256(self.labels[columns].to_csv(index=False).encode() + self._known.tobytes())
        for at in range(len(self)):
            digest.update(np.ascontiguousarray(self.take(np.array([at]))).data)
        return digest.hexdigest()


def read_vertebrae(
    labels: Sequence[str | Path], known: Sequence[str | Path], slices: Sequence[str | Path]
) -> Vertebrae:
    """All vertebrae of the shards, whose files are in the same order, sorted by scan and vertebra."""
    tables, answers = [], []
    for shard, (file, of_slices) in enumerate(zip(labels, known, strict=True)):
        table = read_table(file, BONE_LABELS)
        rows = read_table(of_slices, BONE_SLICES).merge(table[[*KEY, "row"]], on=KEY).sort_values(["row", "slice"])
        if len(table):
            tables.append(table.assign(shard=shard))
            answers.append(rows[["blastic", "lytic", "posterolateral"]].to_numpy(np.int64).reshape(len(table), -1, 3))
    if not tables:
        raise ValueError("no scan has a vertebra that could be cut out; see the reasons in metastasis/slices")
    together = pd.concat(tables, ignore_index=True)
    order = together.sort_values(KEY).index.to_numpy()
    return Vertebrae(together.loc[order], np.concatenate(answers)[order], [read_array(file) for file in slices])


def network_input(slices: NDArray[np.int16], settings: BoneSliceSettings) -> Tensor:
    """What a network sees of slices (B, S, 2, H, W): HU of the window as 0 to 1, and the mask; float32."""
    hu = torch.from_numpy(slices[:, :, HU].astype(np.float32))
    shown = ((hu - settings.hu_low) / (settings.hu_high - settings.hu_low)).clamp(0, 1)
    return torch.stack([shown, torch.from_numpy(slices[:, :, INSIDE].astype(np.float32))], dim=2)
