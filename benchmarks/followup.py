"""How well follow-up finds what changed between two scans: python benchmarks/followup.py RESULTS [--virtual].

RESULTS is what benchmarks/followup_scans.py makes, as far as it is, or a run of presets/follow_up.yaml. With
--virtual it is a run with virtual fractures (presets/grader.yaml). Each scan is then compared with its copies, whose
vertebrae were collapsed in the image. A copy has the noise and the slices of its scan, so errors are smaller than
between two scans. Two scans are compared as a run does it, with the names as found and with all names of the later scan
shifted by one level either way. What a vertebra truly is follows from its place, never from its name. Intervals are
percentiles of 2,000 resamples of patients; where all or none of n are right, the exact limit for n independent ones.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.follow_up.changes import Tables, follow_up
from vertegrade.follow_up.verdicts import NEW, PROGRESSED, UNCLEAR
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.settings.follow_up import FollowUpSettings
from vertegrade.tables import (
    CENTRE_COLUMNS,
    HEIGHTS,
    LANDMARKS,
    MEASUREMENTS,
    PHANTOM_TRUTH,
    PREDICTIONS,
    SCANS,
    centres_of,
    empty_table,
    read_tables,
)

TRUTH = ["scan_id", "vertebra", "genant_grade", "complete", *(f"height_{c}_mm" for c in HEIGHTS), *CENTRE_COLUMNS]
NEAR_MM = 10.0  # from a true centre to a found one
LEVELS = sorted((label for label in NAMES if NAMES[label] != "T13"), key=craniocaudal_rank)
RESAMPLES = 2000


def main() -> None:
    """Print the figures of docs/results/follow-up.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--virtual", action="store_true", help="of virtual fractures in scans")
    parser.add_argument("--further-loss", type=float, default=FollowUpSettings().further_loss, help="%(default)s")
    given = parser.parse_args()
    tables, truth, pairs = _virtual(given.results) if given.virtual else _phantoms(given.results)
    settings = FollowUpSettings(further_loss=given.further_loss)
    print(f"{len(pairs)} pairs of scans of {len({pair[0] for pair in pairs})} patients")
    later = {after for _, _, after, _, _ in pairs}
    for shift in (0, 1, -1):
        named = _renamed(tables, later, shift)
        changes, scans = follow_up(pairs, named, settings, 1)
        rows = _with_truth(changes, named, truth)
        print(f"\nnames of the later scan shifted by {shift}")
        _matching(rows, scans)
        if shift == 0:
            print(pd.cut(scans["compared"], [-1, 0, 2, 4, 8, 20]).value_counts(sort=False).to_string())
        _verdicts(rows, given.further_loss)
        if shift == 0:
            _missed(rows, truth, pairs, given.further_loss)
            _heights(rows)
            _severities(rows)


Pairs = list[tuple[str, str, str, float, float]]


def _phantoms(results: Path) -> tuple[Tables, pd.DataFrame, Pairs]:
    """Tables of a run of phantoms with two scans each, their PHANTOM_TRUTH, and the pairs."""
    shards = sorted(path.stem for path in results.glob("measurements/*.parquet"))
    scans, landmarks, measurements, truth = (
        read_tables([str(results / name.format(shard)) for shard in shards], schema)
        for name, schema in (
            ("landmarks/{}_scans.parquet", SCANS),
            ("landmarks/{}.parquet", LANDMARKS),
            ("measurements/{}.parquet", MEASUREMENTS),
            ("phantom/{}/truth.parquet", PHANTOM_TRUTH),
        )
    )
    graded = [str(path) for path in sorted(results.glob("predictions/*dae.parquet"))]
    predictions = read_tables(graded, PREDICTIONS) if graded else empty_table(PREDICTIONS)
    names = scans.groupby("patient_id")["scan_id"].apply(sorted)
    pairs = [(str(patient), *both, 0.0, 12.0) for patient, both in names.items() if len(both) == 2]
    return Tables(scans, landmarks, measurements, predictions), truth, pairs


def _virtual(results: Path) -> tuple[Tables, pd.DataFrame, Pairs]:
    """The same of scans and their copies with virtual fractures.

    The truth has TRUTH alone: of a copy as drawn, of its scan as measured before. A body that was not measured without
    a fracture has grade 1 before.
    """

    def both(name: str, schema: pa.DataFrameSchema) -> pd.DataFrame:
        paths = [path for folder in ("", "virtual/") for path in sorted(results.glob(f"{folder}{name}"))]
        return read_tables([str(path) for path in paths], schema)

    drawn = read_tables([str(path) for path in sorted(results.glob("virtual/truth/*.parquet"))], VIRTUAL_TRUTH)
    after = drawn.assign(complete=True)
    before = drawn.drop_duplicates(["source_scan_id", "vertebra"]).assign(
        scan_id=lambda rows: rows["source_scan_id"],
        genant_grade=lambda rows: (~rows["intact"]).astype(int),
        complete=True,
        **{f"height_{c}_mm": drawn[f"healthy_height_{c}_mm"] for c in HEIGHTS},
    )
    landmarks = both("landmarks/?.parquet", LANDMARKS)
    places = landmarks[["scan_id", "vertebra", *CENTRE_COLUMNS]]
    before = before.drop(columns=CENTRE_COLUMNS).merge(places, on=["scan_id", "vertebra"])
    truth = pd.concat([before[TRUTH], after[TRUTH]], ignore_index=True)
    named = drawn[["patient_id", "source_scan_id", "scan_id"]].drop_duplicates().itertuples(index=False)
    pairs = [(patient, source, copy, 0.0, 12.0) for patient, source, copy in named]
    scans, measurements = both("landmarks/?_scans.parquet", SCANS), both("measurements/?.parquet", MEASUREMENTS)
    return Tables(scans, landmarks, measurements, empty_table(PREDICTIONS)), truth, pairs


def _renamed(tables: Tables, scans: set[str], shift: int) -> Tables:
    """The tables with the names of these scans shifted; what has no name then is left out, as is T13."""
    if not shift:
        return tables

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        later = table["scan_id"].isin(scans)
        names = {
            label: new for n, label in enumerate(LEVELS) if 0 <= n + shift < len(LEVELS) for new in [LEVELS[n + shift]]
        }
        moved = table[later].assign(vertebra=table["vertebra"].map(names)).dropna(subset=["vertebra"])
        return pd.concat([table[~later], moved.astype({"vertebra": int})], ignore_index=True)

    named = {name: renamed(getattr(tables, name)) for name in ("landmarks", "measurements", "predictions")}
    return replace(tables, **named)


def _with_truth(changes: pd.DataFrame, tables: Tables, truth: pd.DataFrame) -> pd.DataFrame:
    """FOLLOW_UP with `true_before` and `true_after` (what the vertebrae are, 0 unknown) and the true heights."""
    what = _what(tables.landmarks, truth)
    rows = changes.copy()
    for of in ("before", "after"):
        keys = zip(rows[f"scan_{of}"], rows[f"vertebra_{of}"], strict=True)
        rows[f"true_{of}"] = [what.get(key, 0) for key in keys]
        columns = ["scan_id", "vertebra", "complete", "genant_grade", *(f"height_{c}_mm" for c in HEIGHTS)]
        its = truth[columns].rename(columns={"scan_id": f"scan_{of}", "vertebra": f"true_{of}"})
        its = its.rename(columns={name: f"true_{name}_{of}" for name in columns[2:]})
        rows = rows.merge(its, on=[f"scan_{of}", f"true_{of}"], how="left")
    rows["right"] = (rows["true_before"] == rows["true_after"]) & (rows["true_before"] > 0)
    losses = [1 - rows[f"true_height_{c}_mm_after"] / rows[f"true_height_{c}_mm_before"] for c in HEIGHTS]
    rows["true_loss"] = np.max(losses, axis=0)
    rows["whole"] = rows[["true_complete_before", "true_complete_after"]].eq(True).all(axis=1)
    return rows


def _what(landmarks: pd.DataFrame, truth: pd.DataFrame) -> dict[tuple[str, int], int]:
    """The true label of each found vertebra whose centre is near a true one."""
    found = {}
    for scan, rows in landmarks.groupby("scan_id"):
        true = truth[truth["scan_id"] == scan]
        if true.empty:
            continue
        distance = np.linalg.norm(centres_of(rows)[:, None] - centres_of(true)[None], axis=2)
        for label, near in zip(rows["vertebra"], distance, strict=True):
            if near.min() < NEAR_MM:
                found[str(scan), int(label)] = int(true["vertebra"].iloc[int(near.argmin())])
    return found


def _matching(rows: pd.DataFrame, scans: pd.DataFrame) -> None:
    known = rows[(rows["true_before"] > 0) & (rows["true_after"] > 0)]
    right = known.groupby("scan_after")["right"].mean() > 0.5  # a body beside a collapsed one may be taken for it
    unsure = set(scans.loc[scans["reason"] == "levels_unsure", "scan_after"])
    said = right[[scan not in unsure for scan in right.index]]
    print(
        f"levels: {len(right)} pairs of scans with vertebrae in common; {int(said.sum())} matched rightly, "
        f"{int((~said).sum())} wrongly, {len(right) - len(said)} said to be unsure "
        f"(of them right {int(right.sum() - said.sum())})"
    )


def _verdicts(rows: pd.DataFrame, limit: float) -> None:
    """Sensitivity and specificity of new and progressed together, and of each kind; `unclear` is not found."""
    rows = rows[rows["right"] & rows["whole"]]
    rows = rows.assign(found=rows["verdict"].isin([NEW, PROGRESSED]), lost=rows["true_loss"] >= limit)
    intact = rows["true_genant_grade_before"] == 0
    kinds = {
        "all": rows,
        "intact before": rows[intact],
        "fractured before": rows[~intact],
        "not within 3 points of the limit": rows[(rows["true_loss"] - limit).abs() >= 0.03],
    }
    for name, its in kinds.items():
        lost, kept = its[its["lost"]], its[~its["lost"]]
        right = _share(kept.assign(kept=~kept["found"]), "kept")
        unclear = int((its["verdict"] == UNCLEAR).sum())
        print(f"{name}: sensitivity {_share(lost, 'found')}, specificity {right}, unclear {unclear}")
    said = rows[rows["found"] & rows["lost"]]
    print(
        "right kind (new or progressed) of the found ones:",
        _share(said.assign(same=(said["verdict"] == NEW) == (said["true_genant_grade_before"] == 0)), "same"),
    )
    print("unclear by reason:", rows.loc[rows["verdict"] == UNCLEAR, "reason"].value_counts().to_dict())


def _missed(rows: pd.DataFrame, truth: pd.DataFrame, pairs: Pairs, limit: float) -> None:
    """Vertebrae that both scans show completely, and how many of them are in no row of the table."""
    total = lost = absent = absent_lost = 0
    for _, before, after, _, _ in pairs:
        first, second = (truth[(truth["scan_id"] == scan) & truth["complete"]] for scan in (before, after))
        both = first.merge(second, on="vertebra", suffixes=("_a", "_b"))
        in_table = set(rows.loc[(rows["scan_after"] == after) & rows["right"], "true_after"])
        losses = np.max([1 - both[f"height_{c}_mm_b"] / both[f"height_{c}_mm_a"] for c in HEIGHTS], axis=0)
        gone = ~both["vertebra"].isin(in_table).to_numpy()
        total, lost = total + len(both), lost + int((losses >= limit).sum())
        absent, absent_lost = absent + int(gone.sum()), absent_lost + int((gone & (losses >= limit)).sum())
    print(
        f"vertebrae complete in both scans: {total}, {lost} lost >= {limit:g}; "
        f"in no row: {absent}, of them {absent_lost}"
    )


def _heights(rows: pd.DataFrame) -> None:
    """Errors of the change of height in mm, and how they compare with what is stated."""
    rows = rows[rows["right"] & rows["whole"] & rows["column"].ne("")]
    off, stated = [], []
    for c in HEIGHTS:
        true = rows[f"true_height_{c}_mm_after"] - rows[f"true_height_{c}_mm_before"]
        off.append((rows[f"change_{c}_mm"] - true).to_numpy())
        stated.append(rows[f"change_{c}_error_mm"].to_numpy())
        print(
            f"change of {c} height: n={len(rows)} bias {off[-1].mean():+.2f} mean absolute {abs(off[-1]).mean():.2f} mm"
        )
    errors, sds = np.array(off), np.array(stated)
    flat = abs(errors).ravel()
    per_vertebra = pd.DataFrame({"patient_id": rows["patient_id"], "mae": abs(errors).mean(axis=0)})
    print(
        f"all: mean absolute {_mean(per_vertebra, 'mae')} mm, 95 % below {np.quantile(flat, 0.95):.2f}, "
        f"largest {flat.max():.2f}; error over stated: sd {(errors / sds).std():.2f}, "
        f"within one {(flat <= sds.ravel()).mean():.2f}, within two {(flat <= 2 * sds.ravel()).mean():.2f}"
    )
    loss = rows["further_loss"] - rows["true_loss"]
    print(f"further loss: mean absolute {100 * loss.abs().mean():.1f} points, bias {100 * loss.mean():+.1f}")


def _severities(rows: pd.DataFrame) -> None:
    rows = rows[rows["right"] & rows["whole"] & rows["severity_change"].notna()]
    if rows.empty:
        print("severity: no grades in these results")
        return
    true = rows["true_genant_grade_after"] - rows["true_genant_grade_before"]
    inside = (rows["severity_change_low"] - 0.5 <= true) & (true <= rows["severity_change_high"] + 0.5)
    rows = rows.assign(off=(rows["severity_change"] - true).abs(), inside=inside)
    print(f"change of severity against that of the true grade: mean absolute {_mean(rows, 'off')}, n={len(rows)}")
    print(f"true change of grade within half a grade of the interval: {_share(rows, 'inside')}")


def _share(rows: pd.DataFrame, column: str) -> str:
    n, k = len(rows), int(rows[column].sum())
    if not n:
        return "none of 0"
    if k in (0, n):
        limit = 0.025 ** (1 / n)
        low, high = (limit, 1.0) if k else (0.0, 1 - limit)
    else:
        low, high = _interval(rows, column)
    return f"{k / n:.3f} ({low:.3f} to {high:.3f}; {k} of {n})"


def _mean(rows: pd.DataFrame, column: str) -> str:
    low, high = _interval(rows, column)
    return f"{rows[column].mean():.2f} ({low:.2f} to {high:.2f})"


def _interval(rows: pd.DataFrame, column: str) -> tuple[float, float]:
    """95 % interval of the mean of a column over resampled patients."""
    of_patient = rows.astype({column: float}).groupby("patient_id")[column].agg(["sum", "count"]).to_numpy()
    drawn = np.random.default_rng(0).integers(0, len(of_patient), (RESAMPLES, len(of_patient)))
    sums, counts = of_patient[drawn].sum(axis=1).T
    low, high = np.quantile(sums / counts, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
