"""Test vertebrae as tiles of the cohort's page: picture, link to the patient's page, what is true and what was said.

Nothing is chosen by them: tiles are made of a finished run, after model, limits and calibration were fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.methods import BASELINES, METHODS
from vertegrade.report.crop_pictures import CropPictures
from vertegrade.report.links import PatientLinks
from vertegrade.report.montage import GRADE_COLOURS, UNKNOWN_COLOUR, levels_in
from vertegrade.report.plain_words import flag_text, reason_text
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.report.spread import shown_strips, spread_by_severity
from vertegrade.report.strip_table import film_name, strip_words
from vertegrade.tables import KEY
from vertegrade.vertebra_reasons import doubts_of

MOST = 12  # tiles of each kind of error
SPLIT = "test"


@dataclass(frozen=True)
class Graded:
    """What tiles are made of, as a run left it.

    predictions: PREDICTIONS by method, the main method first. labels: LABELS. grades: GRADE_TABLE, whose flags say too
    where methods disagree. links: to the pages of the patients. pictures: of the crops.
    """

    predictions: Mapping[str, pd.DataFrame]
    labels: pd.DataFrame
    grades: pd.DataFrame
    links: PatientLinks
    pictures: CropPictures

    def rows(self, method: str) -> pd.DataFrame:
        """The test vertebrae that a method graded, with `flags`, and `genant_grade` and `shape` of the usable label."""
        its = self.predictions[method]
        its = its[its["evaluable"] & (its["split"] == SPLIT)]
        flags = self.grades[[*KEY, "flags"]]
        truth = self.labels.loc[self.labels["usable"], [*KEY, "genant_grade", "shape"]]
        its = its.drop(columns="flags", errors="ignore").merge(flags, on=KEY, how="left", validate="one_to_one")
        its = its.merge(truth, on=KEY, how="left", validate="one_to_one")
        return its.assign(flags=its["flags"].fillna(""), shape=its["shape"].fillna(""))


def galleries(of: Graded, fracture_grade: int) -> list[dict[str, Any]]:
    """Of each method but baselines the fractures that it missed and its false alarms, worst first.

    `among`: how many labelled vertebrae could have been such an error. None of none is no good news.
    """
    return [
        {"method": METHODS[method].label, "kinds": _kinds(of.rows(method), of, method, fracture_grade)}
        for method in of.predictions
        if method not in BASELINES
    ]


def _kinds(rows: pd.DataFrame, of: Graded, method: str, fracture_grade: int) -> list[dict[str, Any]]:
    fractured = int((rows["genant_grade"] >= fracture_grade).sum())
    among = {
        "Missed fractures": f"{fractured} graded vertebrae with a fracture",
        "False alarms": f"{int(rows['genant_grade'].notna().sum()) - fractured} graded vertebrae without one",
    }
    return [
        {"name": name, "count": len(wrong), "among": among[name], "tiles": tiles(wrong.head(MOST), of, method)}
        for name, wrong in errors(rows, fracture_grade).items()
    ]


def errors(rows: pd.DataFrame, fracture_grade: int) -> dict[str, pd.DataFrame]:
    """Missed fractures and false alarms among `Graded.rows`: the largest |severity - true grade| first."""
    known = rows[rows["genant_grade"].notna()]
    wrong_by = (known["severity"] - known["genant_grade"]).abs()
    ordered = known.assign(wrong_by=wrong_by).sort_values(["wrong_by", *KEY], ascending=[False, True, True])
    fractured, called = ordered["genant_grade"] >= fracture_grade, ordered["grade"] >= fracture_grade
    return {"Missed fractures": ordered[fractured & ~called], "False alarms": ordered[~fractured & called]}


def montage_tiles(of: Graded, count: int) -> list[dict[str, Any]]:
    """The same vertebrae as in the montage, least severe first."""
    main = next(iter(of.predictions))
    return tiles(spread_by_severity(of.rows(main), count), of, main)


def tiles(rows: pd.DataFrame, of: Graded, method: str) -> list[dict[str, Any]]:
    """`Graded.rows` of a method as a page shows them."""
    others = {name: _by_key(table) for name, table in of.predictions.items() if name != method}
    shown = []
    for level, row in zip(levels_in(rows), rows.to_dict("records"), strict=True):
        scan, label = str(row["scan_id"]), int(row["vertebra"])
        grade = row["genant_grade"]
        known = not np.isnan(grade)
        shown.append(
            {
                "level": level,
                "scan": scan,
                "href": of.links.vertebra(scan, label),
                "picture": of.pictures.crop(scan, label),
                "colour": GRADE_COLOURS[int(grade)] if known else UNKNOWN_COLOUR,
                "truth": " ".join(filter(None, (f"grade {grade:.0f}", row["shape"]))) if known else "not known",
                "grade": int(row["grade"]),
                "severity": severity_text(row["severity"]),
                "interval": interval_text(row["severity_low"], row["severity_high"]),
                "p_fracture": f"{row['p_fracture']:.2f}",
                "novelty": "not known" if np.isnan(row["novelty"]) else f"{row['novelty']:.2f}",
                "doubts": doubts_of(row["flags"]),
                "flags": [flag_text(flag) for flag in row["flags"].split()],
                "others": [(METHODS[name].label, _said(table, (scan, label))) for name, table in others.items()],
            }
        )
    return shown


def _by_key(table: pd.DataFrame) -> dict[tuple[str, int], dict[Any, Any]]:
    return {(row["scan_id"], row["vertebra"]): row for row in table.to_dict("records")}


def _said(rows: Mapping[tuple[str, int], Mapping[Any, Any]], key: tuple[str, int]) -> str:
    """What another method says of a vertebra."""
    row = rows.get(key)
    if row is None:
        return "not seen"
    if not row["evaluable"]:
        return f"no grade. {reason_text(row['reason'])}"
    return f"grade {row['grade']:.0f} (severity {severity_text(row['severity'])})"


def strip_tiles(drawn: pd.DataFrame, of: Graded, count: int) -> list[dict[str, Any]]:
    """The vertebrae of the strips in the picture (`shown_strips`), in words and with a link to the animation.

    drawn: COUNTERFACTUALS.
    """
    main = next(iter(of.predictions))
    rows = shown_strips(of.rows(main), drawn, count)
    return [
        tile
        | {
            "words": strip_words(drawn[drawn["row"] == row["row"]]),
            "film": f"counterfactuals/{film_name(row['scan_id'], row['vertebra'])}",
        }
        for tile, row in zip(tiles(rows, of, main), rows.to_dict("records"), strict=True)
    ]
