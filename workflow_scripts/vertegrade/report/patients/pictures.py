"""The pictures of the pages, as data URIs: crops, spines, and vertebrae at other grades."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from vertegrade.plotting import Pixels, grey_values
from vertegrade.report.crop_pictures import CropPictures
from vertegrade.report.data_uris import data_uri, png_uri
from vertegrade.report.montage import mid_sagittal
from vertegrade.report.patients.findings import Vertebra
from vertegrade.report.severities import severity_text
from vertegrade.report.strip_table import film_name, strip_words
from vertegrade.report.strips import animation, watermarked
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import HEIGHTS


@dataclass(frozen=True)
class StripPicture:
    """One picture of a strip. head: what it is. lines: what was measured in it. synthetic: whether a model drew it."""

    uri: str
    head: str
    lines: list[str]
    synthetic: bool


@dataclass(frozen=True)
class Strip:
    """A vertebra at other grades. words: what stays in it and what changes. film: its file as an animation."""

    pictures: list[StripPicture]
    words: str
    film: str


@dataclass(frozen=True)
class Pictures(CropPictures):
    """Where the pictures of a run are, read when they are asked for.

    spines: rows of SPINES by scan, and folders in which SCAN.png may be. strips: COUNTERFACTUALS, and their images
    `(M, 2 + T, C, H, W)` HU. drawn: the display window of what the DAE draws.
    """

    spines: Mapping[str, Mapping[str, Any]]
    folders: Sequence[Path]
    strips: pd.DataFrame
    images: np.ndarray
    drawn: ReportSettings

    def spine(self, scan: str) -> str:
        """The spine from the side, "" where there is no picture of it."""
        files = [folder / f"{scan}.png" for folder in self.folders]
        return next((data_uri(file) for file in files if file.is_file()), "")

    def strip(self, scan: str, vertebra: Vertebra) -> Strip | None:
        """The vertebra at other grades, each SYNTHETIC one marked in its pixels; None where none were drawn."""
        its = self._rows(scan, vertebra.label)
        if its.empty:
            return None
        crop, copy, *drawn = mid_sagittal(self.images[int(its["row"].iloc[0])])
        heights = [f"{height.mm:.0f}" for height in vertebra.heights]
        pictures = [
            StripPicture(_scaled(grey_values(crop, self.drawn)), "CT", _measured(heights, vertebra.severity), False),
            StripPicture(self._drawn(copy), "Drawn as it is", [], True),
        ]
        for row in its.to_dict("records"):
            head = f"Grade {row['wanted_grade']}" + (f", {row['shape']}" if row["shape"] else "")
            heights, wanted = (
                [f"{height.intact_mm * (1 - row[f'{of}loss_{height.column}']):.0f}" for height in vertebra.heights]
                for of in ("", "wanted_")
            )
            asked = f"asked: {', '.join(_measured(wanted, row['wanted_severity']))}"
            missed = [] if row["reached"] else ["misses its grade"]
            lines = [*_measured(heights, row["severity"]), asked, *missed]
            pictures.append(StripPicture(self._drawn(drawn[row["picture"]]), head, lines, True))
        return Strip(pictures, strip_words(its), film_name(scan, vertebra.label))

    def film(self, scan: str, label: int) -> bytes:
        """The same pictures as an animation; the vertebra must be drawn."""
        its = self._rows(scan, label)
        heads = [f"grade {grade}" for grade in its["wanted_grade"]]
        return animation(self.images[int(its["row"].iloc[0])][2:], heads, self.drawn)

    def _rows(self, scan: str, label: int) -> pd.DataFrame:
        its = self.strips[(self.strips["scan_id"] == scan) & (self.strips["vertebra"] == label)]
        return its.sort_values("picture")

    def _drawn(self, hu: np.ndarray) -> str:
        return png_uri(watermarked(grey_values(hu, self.drawn))[..., 0])


def _measured(heights: Sequence[str], severity: float) -> list[str]:
    """Heights in the order of HEIGHTS, and the severity that the model gives."""
    lines = [f"{' / '.join(heights)} mm"] if len(heights) == len(HEIGHTS) else []
    return lines + ([f"severity {severity_text(severity)}"] if np.isfinite(severity) else [])


def _scaled(image: Pixels) -> str:
    """A crop as large as what is drawn beside it."""
    size = watermarked(image).shape[:2]
    return png_uri(np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)))
