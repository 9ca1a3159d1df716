"""How well the learned localizer does on real CT that it was never trained on, against the scans' own masks.

    .venv/bin/python benchmarks/real_ct.py --shared ../shared/data --pictures docs

LIDC-IDRI-0001 comes from `python tests/helpers/lidc.py`; verse014 and TotalSegmentator's example from a folder of yours
(`--shared`). Heights are compared with those that spine/morphometry.py measures on the masks.
"""

import argparse
import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from vertegrade.annotations.masks import body_centres
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, to_ras
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import load_localizer
from vertegrade.plotting import save_figure
from vertegrade.report.localization_picture import localization_figure
from vertegrade.report.spine_view import spine_view
from vertegrade.settings.report import ReportSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.heights import column_heights
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import POINT_COLUMNS

NEAR_MM = 10.0
CENTRE = [f"centre_{axis}_mm" for axis in "xyz"]


def read(ct: Path, mask: Path, verse_labels: dict[int, int]) -> tuple[Volume, np.ndarray]:
    """A scan and its mask in VerSe's labels (by the mask's own)."""
    image = nib.load(ct)
    hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
    ids = nib.load(mask)
    there, _ = to_ras(np.asanyarray(ids.dataobj).astype(np.int32), ids.affine)
    labels = np.zeros(there.shape, np.uint8)
    for number, label in verse_labels.items():
        labels[there == number] = label
    return Volume(np.ascontiguousarray(hu.astype(np.int16)), affine), labels


def scans(shared: Path | None) -> dict[str, tuple[Volume, np.ndarray]]:
    """The scans that are on this machine, by name."""
    found = {}
    lidc = Path("~/.cache/vertegrade-test-data/lidc-idri-0001").expanduser()
    if lidc.is_dir():
        with (lidc / "structures.csv").open(encoding="utf-8") as file:
            names = {int(row["id"]): row["structure"].removeprefix("vertebrae_") for row in csv.DictReader(file)}
        levels = {number: LABEL_OF[name] for number, name in names.items() if name in LABEL_OF}
        found["lidc-idri-0001"] = read(lidc / "cxr.nii.gz", lidc / "mask.nii.gz", levels)
    if shared is not None:
        verse = shared / "verse014" / "sub-verse014"
        same = {label: label for label in NAMES}
        found["verse014"] = read(Path(f"{verse}_ct.nii.gz"), Path(f"{verse}_seg-vert_msk.nii.gz"), same)
        total = shared / "totalsegmentator_example"
        ids = {number: 51 - number for number in range(27, 44)}
        found["totalsegmentator-example"] = read(total / "example_ct.nii.gz", total / "totalseg.nii.gz", ids)
    return found


def compared(found: pd.DataFrame, labels: np.ndarray, affine: np.ndarray) -> pd.DataFrame:
    """A row per body of the mask: whether it is whole, found, evaluable, and by how much centre and heights differ."""
    rows = []
    centres = found[CENTRE].to_numpy()
    for label, body in body_centres(labels, affine, "mask", None).items():
        measure = measure_mask(labels, affine, label)
        apart = np.linalg.norm(centres - body.centre_mm, axis=1)
        row = {"vertebra": NAMES[label], "whole": not body.reason, "found": apart.min() <= NEAR_MM}
        if row["found"]:
            one = found.iloc[int(apart.argmin())]
            off = column_heights(one[POINT_COLUMNS].to_numpy(float).reshape(1, 6, 3))[0] - measure.heights_mm
            row |= {"named": NAMES[one["vertebra"]], "evaluable": one["evaluable"], "reason": one["reason"]}
            row |= {"centre_mm": apart.min(), "anterior_mm": off[0], "middle_mm": off[1], "posterior_mm": off[2]}
        rows.append(row)
    return pd.DataFrame(rows)


def figures(found: pd.DataFrame, table: pd.DataFrame) -> dict[str, float]:
    """Detection of whole bodies, right levels, and mean differences (mm) of centres and heights."""
    whole = table[table["whole"]]
    # An evaluable detection that is no whole body of the mask is a false alarm.
    extra = int(found["evaluable"].sum() - whole["evaluable"].eq(True).sum())
    hits = int(whole["found"].sum())
    heights = whole[["anterior_mm", "middle_mm", "posterior_mm"]].to_numpy(float)
    return {
        "whole": len(whole),
        "recall": hits / len(whole),
        "extra": extra,
        "f1": 2 * hits / (hits + extra + len(whole)),
        "levels": float((whole["vertebra"] == whole["named"]).mean()),
        "centre_mm": float(whole["centre_mm"].mean()),
        "height_mm": float(np.nanmean(np.abs(heights))),
        "height_bias_mm": float(np.nanmean(heights)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder with verse014 and totalsegmentator_example")
    parser.add_argument("--weights", type=Path, default=Path("models/localizer"))
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each scan")
    given = parser.parse_args()
    localizer = load_localizer(given.weights, "cpu")
    for name, (volume, labels) in scans(given.shared).items():
        landmarks = learned_landmarks(ScanRow(name, name, ""), volume, localizer, LocalizeSettings())
        table = compared(landmarks, labels, volume.affine)
        print(name, {key: round(value, 3) for key, value in figures(landmarks, table).items()})
        print(table.round(2).to_string(index=False))
        if given.pictures:
            view = spine_view(volume, landmarks, ReportSettings())
            save_figure(localization_figure(view, landmarks), given.pictures / f"{name}.png")
