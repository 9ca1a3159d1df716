"""How well heights measured on phantom masks agree with the phantoms' truth (docs/design/heights.md).

Run: .venv/bin/python benchmarks/mask_heights.py results/phantom 40
(the `phantom` folder of a run, and how many of its scans to take, spread evenly)
"""

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from vertegrade.ct.volume import to_ras
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import HEIGHTS, POINT_COLUMNS


def measured(mask_path: Path) -> list[dict[str, float]]:
    """Errors of the complete vertebrae of one scan (mm), slice distance, grade, and seconds of CPU per vertebra."""
    scan_id = mask_path.name.split("_")[0]
    truth = pd.read_parquet(mask_path.parents[1] / "truth.parquet")
    image = nib.load(mask_path)
    labels, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
    rows = []
    for row in truth[(truth["scan_id"] == scan_id) & truth["complete"]].to_dict("records"):
        start = time.process_time()
        measure = measure_mask(labels, affine, row["vertebra"])
        seconds = time.process_time() - start
        true = np.array([row[f"height_{name}_mm"] for name in HEIGHTS])
        off = measure.points_mm - np.array([row[name] for name in POINT_COLUMNS]).reshape(6, 3)
        loss = [1 - heights.min() / heights.max() for heights in (measure.heights_mm, true)]
        rows.append(
            dict(zip(HEIGHTS, measure.heights_mm - true, strict=True))
            | {"point": np.linalg.norm(off, axis=1).mean(), "loss": abs(loss[0] - loss[1]), "seconds": seconds}
            | {"slice_mm": affine[2, 2], "grade": row["genant_grade"], "measured": not measure.reason}
        )
    return rows


def main(folder: str, scans: int) -> None:
    """Print the table of errors."""
    masks = sorted(Path(folder).glob("*/annotations/*_seg-vert_msk.nii.gz"))
    rows = [row for path in masks[:: max(1, len(masks) // scans)][:scans] for row in measured(path)]
    table = pd.DataFrame(rows)
    print(f"{table['measured'].sum()} of {len(table)} complete vertebrae measured")
    table = table[table["measured"]]
    absolute = table[HEIGHTS].abs().mean(axis=1).rename("height_error")
    print("mean", table[HEIGHTS].mean().round(2).to_dict(), "absolute", table[HEIGHTS].abs().mean().round(2).to_dict())
    print(f"all heights {absolute.mean():.2f} mm, 95 % below {table[HEIGHTS].abs().stack().quantile(0.95):.2f} mm,")
    print(f"largest {table[HEIGHTS].abs().max().max():.1f} mm; points {table['point'].mean():.2f} mm;")
    print(f"1 - min/max {table['loss'].mean():.3f}; {table['seconds'].median():.3f} s of CPU per vertebra")
    for name, groups in (("slices (mm)", pd.cut(table["slice_mm"], [0, 1, 1.6, 2.2, 4])), ("grade", table["grade"])):
        print(absolute.groupby(groups, observed=True).mean().round(2).rename_axis(name).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phantoms", help="folder `phantom` in the results of a run")
    parser.add_argument("scans", type=int, help="how many of its scans")
    given = parser.parse_args()
    main(given.phantoms, given.scans)
