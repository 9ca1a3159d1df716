"""Pictures of the challenge: a vertebra before, and with its VIRTUAL fracture, as the methods saw it."""

import base64
import io

import numpy as np
import pandas as pd
from PIL import Image

from vertegrade.plotting import grey_values
from vertegrade.report.montage import mid_sagittal
from vertegrade.report.strips import watermarked
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY, SHAPES

LOSSES = (0.10, 0.22, 0.32, 0.50)  # of each shape the fracture nearest to each of these is shown
SHAMS = 2
GAP = 8  # pixels between the two tiles


def chosen_examples(cases: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of VIRTUAL_CASES by method of the vertebrae to be shown: a spread of losses of each shape, and some shams.

    Fractures of patients that are not yet shown come first.
    """
    bodies = cases[cases["method"] == cases["method"].min()].sort_values(KEY, ignore_index=True)
    shown: list[tuple[str, int]] = []
    patients: set[str] = set()
    wishes = [("fracture", shape, loss) for shape in SHAPES for loss in LOSSES] + [("sham", "", 0.0)] * SHAMS
    for kind, shape, loss in wishes:
        free = np.array([key not in shown for key in bodies[KEY].itertuples(index=False, name=None)], bool)
        fitting = bodies[(bodies["kind"] == kind) & (bodies["shape"] == shape) & free]
        if fitting.empty:
            continue
        away = (fitting["height_loss"] - loss).abs() + 0.03 * fitting["patient_id"].isin(patients)
        best = fitting.loc[away.idxmin()]
        shown.append((best["scan_id"], int(best["vertebra"])))
        patients.add(best["patient_id"])
    of = cases.set_index(KEY)
    return [of.loc[[key]].reset_index() for key in shown]


def picture(before: np.ndarray | None, after: np.ndarray | None, settings: ReportSettings) -> str:
    """Data URI of two crops (S, H, W) in HU side by side; the second says in its pixels that it is VIRTUAL."""
    tiles = [_tile(before, "BEFORE", settings), _tile(after, "VIRTUAL", settings)]
    gap = np.full((tiles[0].shape[0], GAP, 3), 255, np.uint8)
    data = io.BytesIO()
    Image.fromarray(np.concatenate([tiles[0], gap, tiles[1]], axis=1)).save(data, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def _tile(crop: np.ndarray | None, words: str, settings: ReportSettings) -> np.ndarray:
    if crop is None:
        return watermarked(np.full((64, 64), 60, np.uint8), "NO CROP")
    return watermarked(grey_values(mid_sagittal(crop), settings), words)
