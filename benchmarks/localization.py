"""How well the learned localizer finds, labels and measures phantom vertebrae that it was never trained on.

    .venv/bin/python benchmarks/localization.py cohort 60 --seed 31

Scans are drawn with their own seed: `cohort`, as the default cohort's, or `hard`, as its training's hardest. The
whole localizer runs: centreline, vertebrae, labels. A found vertebra is right within 10 mm of a true body's centre.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.levels import SACRUM
from vertegrade.localizer.centreline.find import find_centreline
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import Localizer, load_localizer
from vertegrade.phantom.training_scan import cohort_scan, training_scan
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.heights import column_heights
from vertegrade.tables import POINT_COLUMNS

NEAR_MM = 10.0
CENTRE = [f"centre_{axis}_mm" for axis in "xyz"]


def points(table: pd.DataFrame) -> np.ndarray:
    """Six points (n, 6, 3) of landmarks or truth."""
    return table[POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)


def index(heights: np.ndarray) -> np.ndarray:
    """1 - min/max of heights (n, 3)."""
    return 1 - heights.min(axis=1) / heights.max(axis=1)


def compared(kind: str, seed: int, number: int, localizer: Localizer, settings: LocalizeSettings) -> pd.DataFrame:
    """One row per true body or false alarm of a scan; found is the row's detection, NaN where there is none."""
    volume, truth = cohort_scan(seed, number) if kind == "cohort" else training_scan(seed, number)
    truth = truth[truth["vertebra"] != SACRUM].reset_index(drop=True)
    row = ScanRow(scan_id=f"s{number}", patient_id=f"p{number}", path="")
    started = time.process_time()
    found = learned_landmarks(row, volume, localizer, settings)
    seconds = time.process_time() - started
    line = find_centreline(volume, localizer.centreline, localizer.device, settings.centreline).line
    strayed = np.linalg.norm(line.at(line.nearest(truth[CENTRE].to_numpy()))[0] - truth[CENTRE].to_numpy(), axis=1)
    apart = np.linalg.norm(found[CENTRE].to_numpy()[:, None] - truth[CENTRE].to_numpy()[None], axis=2)
    # Each true body takes the nearest detection
    taken = {int(apart[:, n].argmin()): n for n in range(len(truth)) if apart[:, n].min() <= NEAR_MM}
    rows = []
    for k in range(len(found)):
        one = {"confidence": found["confidence"][k], "evaluable": found["reason"][k] in ("", "not_graded")}
        if k in taken:
            n = taken[k]
            true, ours = points(truth.iloc[[n]]), points(found.iloc[[k]])
            heights = column_heights(true), column_heights(ours)
            one |= {"complete": bool(truth["complete"][n]), "right_level": found["vertebra"][k] == truth["vertebra"][n]}
            one |= {"centre_mm": apart[k, n], "point_mm": np.linalg.norm(true - ours, axis=2).mean()}
            one |= {"height_mm": np.abs(heights[0] - heights[1]).mean()}
            one |= {"line_mm": strayed[n]}
            one |= {"index": abs(index(heights[0]) - index(heights[1]))[0]}
        rows.append(one | {"scan": number, "true": k in taken, "found": True, "seconds": seconds})
    missed = set(range(len(truth))) - set(taken.values())
    rows += [{"scan": number, "true": True, "found": False, "complete": bool(truth["complete"][n])} for n in missed]
    return pd.DataFrame(rows)


def report(table: pd.DataFrame) -> None:
    """Print the figures of all scans."""
    whole = table[table["complete"].eq(True) & table["true"]]
    hits = table[table["found"] & table["true"] & table["complete"].eq(True)]
    print(f"complete bodies {len(whole)}, found {len(hits)}: recall {len(hits) / len(whole):.4f}")
    for name, kept in (
        ("all", table[table["found"]]),
        ("evaluable", table[table["found"] & table["evaluable"].eq(True)]),
    ):
        print(f"detections, {name}: {len(kept)}, on a true body {kept['true'].mean():.4f}")
    print(hits[["line_mm", "centre_mm", "point_mm", "height_mm", "index"]].mean().round(4).to_string())
    print(f"levels right {hits['right_level'].mean():.4f}")
    print(f"CPU per scan {table.groupby('scan')['seconds'].first().mean():.2f} s")
    for least in (0.5, 0.7, 0.9):
        sure = table[table["found"] & table["evaluable"].eq(True) & (table["confidence"] >= least)]
        recall = (sure["true"] & sure["complete"].eq(True)).sum() / len(whole)
        print(f"confidence >= {least}: recall {recall:.4f}, precision {sure['true'].mean():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["cohort", "hard"])
    parser.add_argument("scans", type=int)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--weights", type=Path, default=Path("models/localizer"))
    given = parser.parse_args()
    networks = load_localizer(given.weights, "cpu")
    tables = [compared(given.kind, given.seed, number, networks, LocalizeSettings()) for number in range(given.scans)]
    report(pd.concat(tables, ignore_index=True))
