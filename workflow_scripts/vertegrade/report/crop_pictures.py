"""Mid-sagittal pictures of the crops of a run, read from their files when they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vertegrade.arrays import read_array
from vertegrade.plotting import grey_values
from vertegrade.report.data_uris import png_uri
from vertegrade.report.montage import mid_sagittal
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, read_table

Places = Mapping[tuple[str, int], tuple[int, int]]


@dataclass(frozen=True)
class CropPictures:
    """Pictures of crops.

    crops: arrays `(N, S, H, W)` HU, mapped from files, and where in which a vertebra's crop is, by scan and label.
    window: how they are displayed.
    """

    crops: Sequence[np.ndarray]
    place_of_crop: Places
    window: ReportSettings

    def crop(self, scan: str, label: int) -> str:
        """The crop of a vertebra as data URI, "" where it has none."""
        place = self.place_of_crop.get((scan, label))
        if place is None:
            return ""
        return png_uri(grey_values(mid_sagittal(self.crops[place[0]][place[1]]), self.window))


def crops_of(files: Any) -> dict[str, Any]:
    """`crops` and `place_of_crop` of a job's inputs `pixels` and `crops`, those of all shards in the same order."""
    tables = [read_table(path, CROPS) for path in files.crops]
    places = {
        (row.scan_id, row.vertebra): (n, row.crop) for n, table in enumerate(tables) for row in table.itertuples()
    }
    return {"crops": [read_array(path) for path in files.pixels], "place_of_crop": places}
