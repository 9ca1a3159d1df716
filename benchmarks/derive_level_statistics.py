"""Derive workflow_scripts/vertegrade/spine/level_statistics.csv from the MosMed six-point annotations.

Run: python benchmarks/derive_level_statistics.py ../shared/data/mosmed_keypoints.zip > .../level_statistics.csv

The annotations (github.com/neuro-ml/anchor-free-genant, CC BY-NC 4.0) give no voxel spacing. Ratios hardly depend on
it; lengths do: with 0.7 x 1.0 mm every posterior height is 1.44-1.46 times Panjabi's and T8
and L1 would be 27 and 35 mm. 0.78 mm slices bring L1 to the 27 mm that CT of living people shows (verse014: L2 27
mm), 0.75 mm rows T12's depth to 30 mm, so these are used. Only medians leave this script.
"""

import json
import sys
import zipfile
from collections import defaultdict

import numpy as np

ROW_MM, SLICE_MM = 0.75, 0.78
ANNOTATED = {"C7": 7} | {f"T{i}": i + 7 for i in range(1, 13)} | {"L1": 20, "L2": 21}

# Widths: about the mean of the upper and lower endplate widths (mm) of Panjabi 1991 (Spine 16:888, T1-T12), 1992
# (Spine 17:299, L1-L5) and 1991 (Spine 16:861, C6-C7), rounded to half millimetres.
WIDTHS = [21, 24, 26, 26, 25, 25.5, 26.5, 27.5, 29, 30.5, 32, 33.5, 37, 40.5, 42, 43.5, 45, 47, 48]
WIDTH = dict(zip(range(6, 25), WIDTHS, strict=True))
# What MosMed (chest CT) lacks: posterior height and depth relative to L2, Ha/Hp and Hm/Hp, rim gaps of the disc below
# in mm (anterior, posterior). Panjabi 1992; Zhou 2000 (Eur Spine J 9:242); C6 as C7.
LITERATURE = {
    22: (1.00, 1.02, 1.00, 0.89),
    23: (0.99, 1.03, 1.04, 0.92),
    24: (0.95, 1.02, 1.15, 0.96),
}
DISC_BELOW = {20: (6.8, 4.2), 21: (8.0, 4.8), 22: (9.2, 5.3), 23: (10.5, 5.6), 24: (12.0, 5.0)}


def corners(segments: list[list[list[float]]]) -> np.ndarray:
    """The six points as [anterior/middle/posterior, superior/inferior, (towards posterior, towards feet)] in mm."""
    points = np.array(segments)[:, :, [0, 2]] * [ROW_MM, SLICE_MM]
    points = points[np.argsort(points[:, :, 0].mean(axis=1))]
    return np.take_along_axis(points, np.argsort(points[:, :, 1], axis=1)[:, :, None], axis=1)


def median_rows(archive: str) -> dict[int, list[float]]:
    """Medians by label over all readings: Hp, Ha/Hp, Hm/Hp, depth, anterior and posterior gap to the next below."""
    readings: dict[int, list[list[float]]] = defaultdict(list)
    with zipfile.ZipFile(archive) as handle:
        for name in handle.namelist():
            for vertebrae in json.loads(handle.read(name))["Annotation"].values():
                found = {ANNOTATED.get(v["type"].replace("Th", "T"), 0): corners(v["segments"]) for v in vertebrae}
                for label, points in found.items():
                    anterior, middle, posterior = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
                    depth = np.linalg.norm(points[0] - points[2], axis=1).mean()
                    below = found.get(label + 1)
                    gaps = [np.nan] * 3 if below is None else np.linalg.norm(below[:, 0] - points[:, 1], axis=1)
                    ratios = [anterior / posterior, middle / posterior]
                    readings[label].append([posterior, *ratios, depth, gaps[0], gaps[2]])
    tables = {label: np.array(readings[label]) for label in range(7, 22)}
    return {
        label: [float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else np.nan for c in table.T]
        for label, table in tables.items()
    }


def main(archive: str) -> None:
    """Print the table."""
    rows = median_rows(archive)
    rows[6] = rows[7]
    l2 = rows[21]
    for label, (height, depth, anterior, middle) in LITERATURE.items():
        rows[label] = [l2[0] * height, anterior, middle, l2[3] * depth, np.nan, np.nan]
    for label, gaps in DISC_BELOW.items():
        rows[label][4:] = gaps
    print("# Derived by benchmarks/derive_level_statistics.py (see there): summary statistics of the MosMed six-point")
    print("# annotations (CC BY-NC 4.0; no annotation is included) for C7-L2, of the literature for widths and L3-L5.")
    print("label,height_posterior_mm,ratio_anterior,ratio_middle,depth_mm,width_mm,disc_anterior_mm,disc_posterior_mm")
    for label in sorted(rows):
        height, anterior, middle, depth, *gaps = rows[label]
        values = [f"{height:.1f}", f"{anterior:.3f}", f"{middle:.3f}", f"{depth:.1f}", f"{WIDTH[label]:.1f}"]
        print(",".join([str(label), *values, *(f"{gap:.1f}" for gap in gaps)]))


if __name__ == "__main__":
    main(sys.argv[1])
