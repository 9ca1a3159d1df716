"""Trabecular HU, discs, slips and curves against the truth of phantoms: python benchmarks/measures.py RESULTS.

RESULTS is a finished run on phantoms (`make demo`). HU are compared with what was drawn in the same core of the true
body, before the scanner, and with what the scan shows there, which leaves the error of the place alone; the rest with
the same formula on the true points; scoliosis with the true tilts. Lines are of patients of even and of odd number
apart.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume, read_volume
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Vertebra
from vertegrade.phantom.anatomy.render import _grain, _spongiosa
from vertegrade.settings import Settings
from vertegrade.spine.alignment import curves_of, disc_and_slip, neighbours
from vertegrade.spine.density import core_of, core_values, in_core
from vertegrade.spine.measures import spine_measures
from vertegrade.tables import LANDMARKS, PHANTOM_TRUTH, points_of, read_table

STEP_MM = 0.6


def main() -> None:
    """Print one line per measure: number, mean error, mean absolute error, share within the stated error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--scans", type=int, default=40, help="number of scans (%(default)s)")
    given = parser.parse_args()
    settings = Settings()
    errors: list[tuple[str, int, float, float]] = []
    for number, (shard, scan) in enumerate(_scans(given.results)):
        if number >= given.scans:
            break
        landmarks = read_table(given.results / f"landmarks/{shard}.parquet", LANDMARKS)
        truth = read_table(given.results / f"phantom/{shard}/truth.parquet", PHANTOM_TRUTH)
        landmarks, truth = (table[table["scan_id"] == scan] for table in (landmarks, truth))
        patient = truth["patient_id"].iloc[0] if len(truth) else ""
        if not patient:
            continue
        drawn = draw_patient(patient, settings.phantom, settings.run.seed)
        volume = read_volume(given.results / f"ct/{shard}/{scan}_ct.nii.gz")
        bodies, curves = spine_measures(landmarks, lambda _, found=volume: found, lambda _: True)
        parity = int(patient[2:]) % 2
        for name, found, true, error in [
            *_of_bodies(bodies, truth, {v.label: v for v in drawn.vertebrae}, volume),
            *_of_curves(curves, truth, drawn.vertebrae),
        ]:
            errors.append((name, parity, found - true, error))
    table = pd.DataFrame(errors, columns=["measure", "odd", "off", "error"]).dropna(subset=["off"])
    for (odd, name), rows in table.groupby(["odd", "measure"]):
        off = rows["off"].abs()
        within = (off <= rows["error"]).mean()
        print(
            f"{'odd' if odd else 'even'} {name:12} n={len(rows):4} bias={rows['off'].mean():6.2f} "
            f"mae={off.mean():6.2f} median={off.median():5.2f} p95={off.quantile(0.95):6.2f} within={within:.2f} "
            f"stated={rows['error'].mean():.2f}"
        )


def _scans(results: Path) -> list[tuple[str, str]]:
    found = [(path.parent.parent.name, path.name) for path in results.glob("phantom/*/dicom/*") if path.is_dir()]
    return sorted(found, key=lambda each: each[1])


def _of_bodies(
    bodies: pd.DataFrame, truth: pd.DataFrame, drawn: dict[int, Vertebra], volume: Volume
) -> list[tuple[str, float, float, float]]:
    truth = truth.reset_index(drop=True)
    points, labels = points_of(truth), truth["vertebra"].to_numpy(int)
    row_of = {int(label): row for row, label in enumerate(labels)}
    below = dict(neighbours(labels))
    sds = np.zeros((len(labels), 6))
    rows = []
    for found in bodies.to_dict("records"):
        row = row_of.get(found["vertebra"])
        if row is None:
            continue
        if np.isfinite(found["trabecular_hu"]):
            true = drawn_hu(drawn[found["vertebra"]], points[row])
            rows.append(("hu", found["trabecular_hu"], true, found["trabecular_hu_error"]))
            shown = float(core_values(volume, points[row]).mean())
            rows.append(("hu, place", found["trabecular_hu"], shown, found["trabecular_hu_error"]))
        if row in below:
            true_disc = disc_and_slip(points, sds, row, below[row])
            for name in ("anterior", "middle", "posterior"):
                key = f"disc_{name}_mm"
                rows.append((f"disc {name}", found[key], true_disc[key], found[f"disc_{name}_error_mm"]))
            rows.append(("slip", found["slip_mm"], true_disc["slip_mm"], found["slip_error_mm"]))
    return rows


def drawn_hu(vertebra: Vertebra, points: np.ndarray) -> float:
    """Mean HU that was drawn in the core of the true points, before the scanner."""
    middle, axes, half = core_of(points)
    steps = [np.arange(-size, size + STEP_MM / 2, STEP_MM) for size in half]
    local = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    world = middle + local[in_core(local, half)] @ axes
    right, anterior, superior = ((world - vertebra.pose.origin) @ vertebra.pose.axes.T).T.astype(np.float32)
    middle_row = len(vertebra.body.top) // 2
    at = np.rint(np.stack([right, anterior])).astype(int) + middle_row
    top, bottom = (surface[at[0], at[1]] for surface in (vertebra.body.top, vertebra.body.bottom))
    grain = _grain(vertebra.material, right, anterior, superior)
    return float(_spongiosa(vertebra, grain, right, anterior, superior, top, bottom).mean())


def _of_curves(
    curves: pd.DataFrame, truth: pd.DataFrame, drawn: tuple[Vertebra, ...]
) -> list[tuple[str, float, float, float]]:
    rows = []
    for found in curves.to_dict("records"):
        true = curves_of(truth.reset_index(drop=True))
        for name in ("kyphosis", "lordosis"):
            rows.append((name, found[f"{name}_deg"], true[f"{name}_deg"], found[f"{name}_error_deg"]))
        shown = set(truth["vertebra"])
        tilts = [np.degrees(np.arctan2(v.pose.axes[2, 0], v.pose.axes[2, 2])) for v in drawn if v.label in shown]
        if np.isfinite(found["scoliosis_deg"]):
            rows.append(("scoliosis", found["scoliosis_deg"], max(tilts) - min(tilts), found["scoliosis_error_deg"]))
    return rows


if __name__ == "__main__":
    main()
