"""The record of a patient keeps its schema, says what the tables say, and nothing that a grade was withheld for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import THORACOLUMBAR, landmarks, measure, normal_heights
from helpers.synthetic_predictions import Cohort, make_cohort
from vertegrade.ct.volume import Volume
from vertegrade.grading.grades import grade_table
from vertegrade.levels import LABEL_OF
from vertegrade.records.description import dataset_description
from vertegrade.records.patient import Tables, patient_records
from vertegrade.records.vertebrae import curve_table, vertebra_table
from vertegrade.spine.measures import spine_measures
from vertegrade.tables import (
    CURVE_TABLE,
    GRADE_TABLE,
    LANDMARKS,
    MEASUREMENTS,
    PREDICTIONS,
    SCANS,
    SPINE_CURVES,
    SPINE_MEASURES,
    VERTEBRA_TABLE,
    empty_table,
)

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference"
SCHEMA = json.loads((REFERENCE / "patient.schema.json").read_text(encoding="utf-8"))
L1 = LABEL_OF["L1"]


def tables_of(cohort: Cohort) -> Tables:
    """Tables of a synthetic cohort whose first patient has six points, and an L1 that lost 45 % in front."""
    heights = {label: normal_heights(label) for label in THORACOLUMBAR}
    heights[L1] = heights[L1] * [0.55, 0.75, 1.0]
    measured = landmarks(heights, scan="P000-1", patient="P000")
    others = cohort.landmarks[cohort.landmarks["scan_id"] != "P000-1"]
    found = pd.concat([measured, others], ignore_index=True)
    predictions = {"dae": cohort.dae, "pca": cohort.pca}
    empty = Volume(np.full((4, 4, 4), 100, np.int16), np.eye(4))
    bodies, curves = spine_measures(measured, lambda _: empty, lambda _: False)
    bodies["trabecular_hu"], bodies["trabecular_hu_error"], bodies["hu_reason"] = 120.0, 5.0, ""
    bodies["hu_note"] = "contrast_unknown"
    return Tables(cohort.scans, found, measure(found), bodies, curves, grade_table(predictions), predictions)


@pytest.fixture(scope="module")
def tables() -> Tables:
    cohort = make_cohort(10)
    cohort.scans["message"] = "/data/Planted_Name/1.dcm: broken"
    withheld = (cohort.dae["scan_id"] == "P000-1") & (cohort.dae["vertebra"] == L1)
    numbers = ["signed_distance", "severity", "p_fracture", "severity_low", "severity_high"]
    numbers += [f"p_grade_{grade}" for grade in range(4)]
    cohort.dae.loc[withheld, numbers] = np.nan
    cohort.dae.loc[withheld, ["grade", "evaluable", "reason"]] = [-1, False, "unlike_training"]
    return tables_of(cohort)


@pytest.fixture(scope="module")
def records(tables: Tables) -> dict[str, dict[str, Any]]:
    return patient_records(tables)


def of_level(record: dict[str, Any], level: str) -> dict[str, Any]:
    return next(row for row in record["scans"][0]["vertebrae"] if row["level"] == level)


def test_every_record_keeps_the_schema(records: dict[str, dict[str, Any]]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for record in records.values():
        jsonschema.validate(json.loads(json.dumps(record, allow_nan=False)), SCHEMA)
    assert [*records] == sorted(f"P{number:03d}" for number in range(10))
    assert records["P001"]["scans"][0]["state"] == "failed"


def test_the_schema_refuses_a_grade_that_was_withheld(records: dict[str, dict[str, Any]]) -> None:
    wrong = json.loads(json.dumps(records["P000"]))
    of_level(wrong, "L1")["methods"]["dae"]["grade"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_a_record_says_what_the_tables_say(tables: Tables, records: dict[str, dict[str, Any]]) -> None:
    found = of_level(records["P000"], "L2")
    row = tables.predictions["dae"].set_index(["scan_id", "vertebra"]).loc[("P000-1", LABEL_OF["L2"])]
    assert found["methods"]["dae"]["severity"] == pytest.approx(row["severity"], abs=1e-6)
    assert found["methods"]["dae"]["grade"] == row["grade"]
    assert found["methods"]["pca"]["grade"] is not None
    assert found["points_mm"]["anterior_superior"][1] == 0
    l1 = of_level(records["P000"], "L1")
    assert l1["heights"]["anterior"]["mm"] == pytest.approx(0.55 * normal_heights(L1)[0])
    assert l1["height_loss"] == pytest.approx(0.45, abs=0.02)
    assert of_level(records["P002"], "L1")["points_mm"] is None


def test_a_withheld_grade_is_nowhere(records: dict[str, dict[str, Any]]) -> None:
    l1 = of_level(records["P000"], "L1")
    assert (l1["evaluable"], l1["reason"]) == (False, "unlike_training")
    withheld = l1["methods"]["dae"]
    assert {withheld[name] for name in ("grade", "severity", "p_fracture", "p_grades")} == {None}
    assert withheld["novelty"] is not None
    table = vertebra_table(records).set_index(["scan_id", "vertebra"]).loc[("P000-1", L1)]
    assert pd.isna(table["grade"])
    assert table["height_anterior_mm"] > 0


def test_measures_beside_the_heights_are_in_the_record(tables: Tables, records: dict[str, dict[str, Any]]) -> None:
    l2 = of_level(records["P000"], "L2")
    assert l2["trabecular_hu"] == {"value": 120.0, "error": 5.0}
    assert l2["disc_below"]["posterior"]["value"] > 0
    assert records["P000"]["scans"][0]["lordosis"]["value"] == pytest.approx(
        tables.curves["lordosis_deg"].iloc[0], abs=1e-6
    )
    assert of_level(records["P002"], "L2")["trabecular_hu_reason"] == "not_measured"
    row = vertebra_table(records).set_index(["scan_id", "level"]).loc[("P000-1", "L2")]
    assert row["trabecular_hu"] == 120
    assert row["disc_posterior_mm"] == l2["disc_below"]["posterior"]["value"]
    assert row["disc_posterior_error_mm"] == l2["disc_below"]["posterior"]["error"] > 0
    assert row["slip_error_mm"] == l2["slip"]["error"] > 0
    assert row["hu_reason"] == ""
    assert row["hu_note"] == l2["trabecular_hu_note"] == "contrast_unknown"
    assert of_level(records["P002"], "L2")["trabecular_hu_note"] == ""


def test_the_table_of_curves_has_each_scan_that_was_read(tables: Tables, records: dict[str, dict[str, Any]]) -> None:
    table = curve_table(records).set_index("scan_id")
    assert set(table.index) == set(tables.scans.loc[tables.scans["state"] == "done", "scan_id"])
    measured = tables.curves.set_index("scan_id").loc["P000-1"]
    for name in ("lordosis_deg", "lordosis_error_deg", "scoliosis_deg", "scoliosis_error_deg"):
        assert table.loc["P000-1", name] == pytest.approx(measured[name], abs=1e-6)
    assert table.loc["P002-1", [name for name in table.columns if name.endswith("_deg")]].isna().all()


def test_hu_of_what_is_unlike_the_training_are_not_reported(tables: Tables) -> None:
    strange = replace(tables, grades=tables.grades.assign(flags="unlike_training"))
    l2 = of_level(patient_records(strange)["P000"], "L2")
    assert (l2["trabecular_hu"], l2["trabecular_hu_reason"]) == (None, "unlike_training")
    assert l2["trabecular_hu_note"] == ""
    assert l2["disc_below"] is not None


def test_no_message_of_a_scan_gets_into_a_record(records: dict[str, dict[str, Any]]) -> None:
    assert "Planted" not in json.dumps(records)


def test_the_table_of_vertebrae_has_each_once_from_head_to_feet(
    tables: Tables, records: dict[str, dict[str, Any]]
) -> None:
    table = vertebra_table(records)
    done = tables.scans.loc[tables.scans["state"] == "done", "scan_id"]
    assert len(table) == len(tables.landmarks[tables.landmarks["scan_id"].isin(done)])
    assert table.loc[table["scan_id"] == "P000-1", "level"].tolist()[:3] == ["T5", "T6", "T7"]
    assert table["research_use_only"].eq("not a medical device").all()


def test_a_run_without_scans_has_empty_results() -> None:
    nothing = Tables(
        empty_table(SCANS),
        empty_table(LANDMARKS),
        empty_table(MEASUREMENTS),
        empty_table(SPINE_MEASURES),
        empty_table(SPINE_CURVES),
        empty_table(GRADE_TABLE),
        {"dae": empty_table(PREDICTIONS)},
    )
    assert patient_records(nothing) == {}
    assert vertebra_table({}).columns.tolist() == list(VERTEBRA_TABLE.columns)
    assert curve_table({}).columns.tolist() == list(CURVE_TABLE.columns)


def test_the_description_has_what_bids_asks_of_a_derivative() -> None:
    description = dataset_description(3, phantoms=True, model=False)
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "Vertegrade"
    assert description["Name"]
    assert description["BIDSVersion"]
    assert "phantoms" in description["GeneratedBy"][0]["Description"]
