"""Which drawn strips belong to a scan."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.levels import NAMES
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import read_table


@dataclass(frozen=True, eq=False)
class DrawnStrips:
    """images: (M, 2 + T, C, H, W) HU of M vertebrae, or none. pictures: COUNTERFACTUALS. window: of the display."""

    images: np.ndarray
    pictures: pd.DataFrame
    window: ReportSettings

    def of_scan(self, scan_id: str) -> Iterator[tuple[str, np.ndarray, pd.DataFrame]]:
        """Level, images (2 + T, C, H, W) and pictures of each vertebra of a scan that was drawn."""
        own = self.pictures[self.pictures["scan_id"] == scan_id]
        for _, rows in own.groupby("row"):
            yield NAMES[int(rows["vertebra"].iloc[0])], self.images[int(rows["row"].iloc[0])], rows


def read_strips(files: list[str], window: ReportSettings) -> DrawnStrips:
    """The strips of a run: images.npy and strips.parquet, or none where a run draws none."""
    if not files:
        return DrawnStrips(np.zeros((0,)), pd.DataFrame({"scan_id": [], "row": []}), window)
    return DrawnStrips(read_array(files[0]), read_table(files[1], COUNTERFACTUALS), window)
