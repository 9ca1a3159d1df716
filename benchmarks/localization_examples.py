"""Pictures of a localization that is right, and of errors that a person should see in one, on a PHANTOM.

    .venv/bin/python benchmarks/localization_examples.py docs/pictures

A phantom is drawn and localized by the shipped networks. Then each error is made in the table of its landmarks by hand,
as nothing in a phantom provokes it. Only the lowest vertebrae are shown.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import load_localizer
from vertegrade.phantom.training_scan import cohort_scan
from vertegrade.plotting import save_figure
from vertegrade.report.localization_picture import localization_figure
from vertegrade.report.spine_view import spine_view
from vertegrade.settings.report import ReportSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS

SHOWN = 7
OFF_MM = 7.0  # of points that miss the endplate
WIDTH_PX, MARGIN_PX, COLOURS = 460, 20, 64  # of a file below 60 kB


def right(found: pd.DataFrame) -> pd.DataFrame:
    return found


def one_level_off(found: pd.DataFrame) -> pd.DataFrame:
    """Every body has the name of its upper neighbour."""
    return found.assign(vertebra=found["vertebra"] - 1)


def in_a_disc(found: pd.DataFrame) -> pd.DataFrame:
    """The fourth body is taken for the disc below it, without six points."""
    table = found.copy()
    middle = table[CENTRE_COLUMNS].iloc[3:5].mean()
    table.loc[table.index[3], CENTRE_COLUMNS] = middle
    table.loc[table.index[3], POINT_COLUMNS] = np.nan
    return table


def one_missed(found: pd.DataFrame) -> pd.DataFrame:
    """The fourth body was not found, and those above it have the names of their lower neighbours."""
    table = found.drop(index=found.index[3])
    above = table.index[:3]
    table.loc[above, "vertebra"] += 1
    return table


def points_off(found: pd.DataFrame) -> pd.DataFrame:
    """The upper points of the fourth body lie within it, so that its heights are too small."""
    table = found.copy()
    upper = [name for name in POINT_COLUMNS if name.endswith("superior_z_mm")]
    table.loc[table.index[3], upper] -= OFF_MM
    return table


KINDS = {"right": right, "level": one_level_off, "disc": in_a_disc, "missed": one_missed, "points": points_off}


def save_small(volume: Volume, landmarks: pd.DataFrame, path: Path) -> None:
    """The picture that a run makes, of fewer pixels and colours."""
    view = spine_view(volume, landmarks, ReportSettings())
    with TemporaryDirectory() as folder:
        large = Path(folder, "large.png")
        save_figure(localization_figure(view, landmarks), large)
        image = Image.open(large).convert("RGB")
    _, _, end, _ = ImageOps.invert(image).getbbox() or (0, 0, image.width, 0)
    image = image.crop((0, 0, end + MARGIN_PX, image.height))
    size = (WIDTH_PX, round(image.height * WIDTH_PX / image.width))
    few = image.resize(size, Image.Resampling.LANCZOS).quantize(COLOURS, Image.Quantize.FASTOCTREE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go, as localization-NAME.png")
    parser.add_argument("--seed", type=int, default=9)
    given = parser.parse_args()
    volume, _ = cohort_scan(given.seed, 0)
    localizer = load_localizer(Path("models/localizer"), "cpu")
    found = learned_landmarks(ScanRow("phantom", "phantom", ""), volume, localizer, LocalizeSettings())
    lowest = found.sort_values("centre_z_mm", ascending=False, kind="stable", ignore_index=True).tail(SHOWN)
    for name, change in KINDS.items():
        path = given.folder / f"localization-{name}.png"
        save_small(volume, change(lowest), path)
        print(path, path.stat().st_size)
