"""What changed in the vertebrae of two scans, and what to call it: tables FOLLOW_UP and FOLLOW_UP_SCANS.

A height's error is what the networks or the masks state for it, and a share of the slice thickness, which they
understate on thick slices. The errors of two scans are taken as independent. Severity changes by the difference, with
an interval of both intervals' halves added as squares (Zou and Donner 2008, Stat Med 27:1693).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from vertegrade.arrays import Floats
from vertegrade.follow_up.matching import Match, match
from vertegrade.follow_up.shapes import Spine, spine_of
from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS
from vertegrade.follow_up.verdicts import NEW, PROGRESSED, STABLE, UNCLEAR
from vertegrade.settings.follow_up import FollowUpSettings
from vertegrade.spine.indices import CRUSH_SHARE, known_sds
from vertegrade.tables import HEIGHTS, check_table, empty_table

# Error of a height (standard deviation) that the stated one lacks, per mm of slice thickness. By it 95.6 % of the
# heights of training and validation phantoms of the demo lie within two errors of the truth, and 88.5 % without it.
THICKNESS_SHARE = 0.15
THICKNESS_MM = 1.5  # where the header does not tell
# Nothing is said where the error could make up the limit, unless the loss is beyond doubt either way.
ERROR_SHARE, DOUBT = 0.5, 0.05

Row = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What is compared, of all scans: SCANS, LANDMARKS, MEASUREMENTS, and PREDICTIONS of the main method."""

    scans: pd.DataFrame
    landmarks: pd.DataFrame
    measurements: pd.DataFrame
    predictions: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Scan:
    """One scan. Rows of MEASUREMENTS and PREDICTIONS by label; spine None where the scan is not done."""

    spine: Spine | None
    measured: Mapping[int, Row]
    graded: Mapping[int, Row]
    thickness_mm: float


def follow_up(
    pairs: Sequence[tuple[str, str, str, float, float]], tables: Tables, settings: FollowUpSettings, fracture_grade: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """FOLLOW_UP and FOLLOW_UP_SCANS of pairs of scans (`cohort.months.follow_up_pairs`), in their order.

    fracture_grade: least grade by which a vertebra counts as fractured before.
    """
    names = {name for _, *both, _, _ in pairs for name in both}
    scans = {name: _scan(str(name), tables) for name in sorted(names)}
    vertebrae: list[Row] = []
    summary: list[Row] = []
    for patient, before, after, start, end in pairs:
        about: Row = {"patient_id": patient, "scan_before": before, "scan_after": after}
        about |= {"months_before": start, "months_after": end}
        rows, of_pair = _compared(scans[before], scans[after], settings, fracture_grade)
        vertebrae += [about | row for row in rows]
        summary.append(about | of_pair)
    found = pd.DataFrame(vertebrae, columns=list(FOLLOW_UP.columns)) if vertebrae else empty_table(FOLLOW_UP)
    return (
        check_table(found, FOLLOW_UP, "changes of vertebrae"),
        check_table(pd.DataFrame(summary, columns=list(FOLLOW_UP_SCANS.columns)), FOLLOW_UP_SCANS, "compared scans"),
    )


def _scan(name: str, tables: Tables) -> _Scan:
    of_scan = {part: table[table["scan_id"] == name] for part, table in vars(tables).items()}
    about = of_scan["scans"].to_dict("records")
    done = bool(about) and about[0]["state"] == "done"
    thickness = about[0]["slice_thickness_mm"] if about else np.nan
    if not np.isfinite(thickness) and about:
        thickness = about[0]["slice_spacing_mm"]
    return _Scan(
        spine_of(of_scan["landmarks"]) if done else None,
        {row["vertebra"]: row for row in of_scan["measurements"].to_dict("records")},
        {row["vertebra"]: row for row in of_scan["predictions"].to_dict("records")},
        float(thickness) if np.isfinite(thickness) else THICKNESS_MM,
    )


def _compared(before: _Scan, after: _Scan, settings: FollowUpSettings, fracture_grade: int) -> tuple[list[Row], Row]:
    """Rows of FOLLOW_UP, head to feet, and the numbers of FOLLOW_UP_SCANS, of two scans."""
    if before.spine is None or after.spine is None:
        return [], _pair("scan_left_out", None, [])
    found = match(before.spine, after.spine)
    sure = found.p >= settings.certainty
    rows = []
    for first, second in found.pairs:
        labels = int(before.spine.labels[first]), int(after.spine.labels[second])
        if labels[0] in before.measured and labels[1] in after.measured:
            row = _vertebra(before, after, labels, settings, fracture_grade)
            if not sure:
                row |= {"verdict": UNCLEAR, "reason": "levels_unsure"}
            rows.append(row | {"match_probability": found.p})
    reason = "" if rows and sure else "levels_unsure" if rows else "none_in_common"
    return rows, _pair(reason, found, rows)


def _pair(reason: str, found: Match | None, rows: Sequence[Row]) -> Row:
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in (NEW, PROGRESSED, STABLE, UNCLEAR)}
    about = {"reason": reason, "shift": found.shift if found else 0, "compared": len(rows)}
    return about | {"match_probability": found.p if found else np.nan} | counts


def _vertebra(
    before: _Scan, after: _Scan, labels: tuple[int, int], settings: FollowUpSettings, fracture_grade: int
) -> Row:
    """A vertebra that is labels[0] in the earlier and labels[1] in the later scan."""
    old, new = before.measured[labels[0]], after.measured[labels[1]]
    heights = np.array([[row[f"height_{column}_mm"] for column in HEIGHTS] for row in (old, new)], np.float64)
    sds = np.stack([_height_sds(old, before.thickness_mm), _height_sds(new, after.thickness_mm)])
    loss = 1 - heights[1] / heights[0]
    loss_sd = heights[1] / heights[0] * np.hypot(*(sds / heights))
    row: Row = {"vertebra_before": labels[0], "vertebra_after": labels[1], "shape": new["shape"]}
    for n, column in enumerate(HEIGHTS):
        row |= {
            f"height_{column}_before_mm": heights[0, n],
            f"height_{column}_after_mm": heights[1, n],
            f"change_{column}_mm": heights[1, n] - heights[0, n],
            f"change_{column}_error_mm": float(np.hypot(*sds[:, n])),
            f"change_{column}": -loss[n],
            f"change_{column}_error": loss_sd[n],
        }
    grades = _grades(before.graded.get(labels[0]), after.graded.get(labels[1]))
    row |= _doubt("before", old, before.graded.get(labels[0])) | _doubt("after", new, after.graded.get(labels[1]))
    if np.isnan(loss).any():
        return row | grades | _unclear("not_measured")
    worst = int(loss.argmax())
    p = float(norm.cdf((loss[worst] - settings.further_loss) / loss_sd[worst]))
    numbers = {"column": HEIGHTS[worst], "further_loss": loss[worst], "further_loss_error": loss_sd[worst]}
    fractured = _fractured(old, before.graded.get(labels[0]), fracture_grade)
    verdict = _verdict(loss, loss_sd[worst], p, fractured, settings.further_loss)
    if verdict["verdict"] in (NEW, PROGRESSED) and not row["shape"]:
        row["shape"] = _shape(loss)
    return row | grades | numbers | {"p_further_loss": p} | verdict


def _height_sds(row: Row, thickness_mm: float) -> Floats:
    """Standard deviations in mm of the three heights of a row of MEASUREMENTS."""
    stated = known_sds(np.array([row[f"height_{column}_sd_mm"] for column in HEIGHTS], np.float64))
    return np.hypot(stated, THICKNESS_SHARE * thickness_mm)


def _verdict(loss: Floats, error: float, p: float, fractured: bool, limit: float) -> Row:
    """What to call losses (3,) of the heights; error, p: of the largest one and that it reaches the limit."""
    if loss.min() < -limit:
        return {"verdict": UNCLEAR, "reason": "taller"}
    if error > ERROR_SHARE * limit and DOUBT < p < 1 - DOUBT:
        return {"verdict": UNCLEAR, "reason": "error_too_large"}
    if p < 0.5:
        return {"verdict": STABLE, "reason": ""}
    return {"verdict": PROGRESSED if fractured else NEW, "reason": ""}


def _shape(loss: Floats) -> str:
    """wedge, biconcave or crush by losses (3,), as `spine.indices` names fractures."""
    if loss[2] >= CRUSH_SHARE * loss.max():
        return "crush"
    return "biconcave" if loss[1] > loss[0] else "wedge"


def _unclear(reason: str) -> Row:
    numbers = dict.fromkeys(("further_loss", "further_loss_error", "p_further_loss"), np.nan)
    return {"verdict": UNCLEAR, "reason": reason, "column": ""} | numbers


def _fractured(measured: Row, graded: Row | None, least: int) -> bool:
    """Whether a vertebra counts as fractured: by the main method, or by its heights where that gives no grade."""
    grade = graded["grade"] if graded is not None and graded["evaluable"] else measured["grade"]
    return bool(grade >= least)


def _doubt(of: str, measured: Row, graded: Row | None) -> Row:
    """What is doubtful of a vertebra in one scan. The main method adds flags to those that it was measured with."""
    rows = [measured] if graded is None else [measured, graded]
    flags = sorted({flag for row in rows for flag in row.get("flags", "").split()})
    confidence = measured.get("label_confidence", np.nan)
    return {f"label_confidence_{of}": confidence, f"flags_{of}": " ".join(flags)}


def _grades(before: Row | None, after: Row | None) -> Row:
    """Grades and severities of the main method, and the change of severity with its interval; NaN where unknown."""
    row: Row = {}
    severities = []
    for name, graded in (("before", before), ("after", after)):
        known = graded is not None and bool(graded["evaluable"])
        row[f"grade_{name}"] = int(graded["grade"]) if graded is not None and known else -1
        parts = ("severity", "severity_low", "severity_high")
        severities.append([graded[part] if graded is not None and known else np.nan for part in parts])
        row[f"severity_{name}"] = severities[-1][0]
    (old, old_low, old_high), (new, new_low, new_high) = severities
    change = new - old
    row |= {"severity_change": change}
    row["severity_change_low"] = change - np.hypot(new - new_low, old_high - old)
    row["severity_change_high"] = change + np.hypot(new_high - new, old - old_low)
    return row
