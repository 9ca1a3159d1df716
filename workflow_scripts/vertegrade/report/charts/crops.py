"""Small pictures of vertebrae, for whoever points at one."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from vertegrade.plotting import Pixels, grey_values
from vertegrade.report.montage import mid_sagittal
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY

MOST = 600  # pictures: about 1 MB of the page
SIDE = 64  # px


def pictured(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Up to MOST of the rows of `drawn_vertebrae`: of the test split first, and spread over a method's severity.

    Their index tells which they are.
    """
    graded = rows.reset_index().assign(severity=rows[f"severity_{method}"], evaluable=True)
    chosen: list[int] = []
    for split in ("test", "validation", "train"):
        chosen += spread_by_severity(graded, MOST - len(chosen), split)["index"].tolist()
    return rows.loc[sorted(chosen)]


def pictured_text(rows: pd.DataFrame, shown: pd.DataFrame) -> str:
    """A sentence on who has a picture."""
    counts = {split: (shown["split"] == split).sum() for split in ("test", "validation", "train")}
    parts = [f"{count} of {(rows['split'] == split).sum()} {split}" for split, count in counts.items()]
    rest = "" if len(shown) == len(rows) else "; the others have none, so that the page stays small"
    return f"The crops of {', '.join(parts)} vertebrae are shown as pictures{rest}."


def crop_pictures(
    rows: pd.DataFrame, crops: Sequence[pd.DataFrame], pixels: Sequence[np.ndarray], window: ReportSettings
) -> dict[str, str]:
    """Data URIs of the mid-sagittal crops of rows with KEY, by the row's index.

    crops: CROPS of each shard. pixels: (N, S, H, W) HU of the same shards, mapped; only these rows are
    read.
    """
    found = {}
    for table, array in zip(crops, pixels, strict=True):
        here = rows[KEY].reset_index().merge(table[[*KEY, "crop"]], on=KEY, validate="one_to_one")
        for index, crop in zip(here["index"], here["crop"], strict=True):
            found[str(index)] = jpeg_uri(grey_values(mid_sagittal(array[crop]), window))
    return found


def jpeg_uri(image: Pixels) -> str:
    """Grey values (H, W), made smaller to SIDE, as data URI."""
    file = io.BytesIO()
    Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
