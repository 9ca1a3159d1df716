"""Figures of the challenge against answers that follow by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from helpers.virtual import case, cases_of
from vertegrade.evaluation.challenge.measures import (
    challenge_measures,
    group_measures,
    height_measures,
    method_measures,
)
from vertegrade.evaluation.challenge.thresholds import loss_noticed, thresholds
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import SCANS, empty_table

SETTINGS = EvaluationSettings(bootstrap_resamples=40, minimum_cases=1)
ROWS = [
    case("fracture", 0.10, 0.2),
    case("fracture", 0.22, 1.0),
    case("fracture", 0.30, 1.8),
    case("fracture", 0.55, None, found=-1, reason="not_found"),
    case("fracture", 0.60, 0.4),
    case("sham", severity=0.9),
    case("sham", severity=0.0),
    case("untouched", severity=0.0),
    case("source", severity=0.0, novelty=0.99, unlike_training=True),
    case("source", severity=None),
]


def value(cell: dict[str, Any]) -> float:
    assert cell["value"] is not None
    return float(cell["value"])


def group(rows: list[dict[str, Any]] = ROWS) -> dict[str, Any]:
    return group_measures(cases_of(rows), SETTINGS, 1)


def test_sensitivity_and_false_alarms_are_of_the_whole_chain() -> None:
    found = group()
    assert found["counts"] == {"patients": 1, "fractures": 5, "clear_fractures": 3, "controls": 5}
    assert value(found["sensitivity"]) == pytest.approx(1 / 3)  # of 30, 55 and 60 %: one was not found
    assert value(found["false_alarms"]) == pytest.approx(1 / 5)
    assert value(found["kinds"]["sham"]["false_alarms"]) == pytest.approx(1 / 2)
    assert value(found["kinds"]["source"]["graded"]) == pytest.approx(1 / 2)
    assert value(found["kinds"]["source"]["unlike_training"]) == 1  # of the one whose novelty is known
    assert found["kinds"]["sham"]["unlike_training"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
        "skipped": 40,
    }
    assert value(found["kinds"]["fracture"]["found"]) == pytest.approx(4 / 5)


def test_auc_and_spearman_are_of_the_graded_ones() -> None:
    found = group()
    # Graded clear fractures 1.8 and 0.4 against 0.9, 0, 0, 0: all four, and three of four.
    assert value(found["auc"]) == pytest.approx((4 + 3) / 8)
    assert found["auc"]["n"] == 6
    # Losses .10 .22 .30 .60 have the severities .2 1.0 1.8 .4: ranks 1 2 3 4 and 1 3 4 2.
    assert value(found["spearman"]) == pytest.approx(1 - 6 * (0 + 1 + 1 + 4) / (4 * 15))


def test_coverage_is_of_the_severity_that_follows_from_the_loss() -> None:
    # True severities 0.25, 0.9, 1.83, -, 3 and 0; intervals are the severity and half a grade to either side.
    found = group()
    assert value(found["kinds"]["fracture"]["coverage"]) == pytest.approx(3 / 4)
    assert value(found["kinds"]["sham"]["coverage"]) == pytest.approx(1 / 2)
    assert value(found["coverage"]) == pytest.approx((3 + 1 + 1 + 1) / 8)


def test_bands_of_loss_begin_at_their_lower_end_and_the_last_is_closed() -> None:
    bands = {band["from"]: band for band in group()["bands"]}
    assert list(bands) == [0.05, 0.20, 0.30, 0.50]
    assert value(bands[0.20]["sensitivity"]) == 1
    assert bands[0.50]["sensitivity"]["n"] == 2
    assert value(bands[0.50]["graded"]) == value(bands[0.50]["found"]) == 0.5
    assert value(bands[0.50]["severity"]) == pytest.approx(0.4)
    assert value(bands[0.05]["severity"]) == pytest.approx(0.2)


def test_intervals_are_over_patients_and_need_three_of_them() -> None:
    def with_patients(count: int) -> dict[str, Any]:
        rows = [row | {"patient_id": f"p{n % count}"} for n, row in enumerate(ROWS * 6)]
        found: dict[str, Any] = group(rows)["sensitivity"]
        return found

    assert with_patients(2)["low"] is None
    assert with_patients(7)["low"] < with_patients(7)["value"] < with_patients(7)["high"]


def test_a_shape_is_held_against_all_controls_and_a_region_against_its_own() -> None:
    rows = [*ROWS, case("fracture", 0.5, 2.6, shape="crush", region="L3-L6", scanner="GE, BONE, > 3 mm")]
    found = method_measures(cases_of(rows), SETTINGS, 1)
    assert list(found["shape"]) == ["wedge", "crush"]
    assert found["shape"]["crush"]["counts"] == {"patients": 1, "fractures": 1, "clear_fractures": 1, "controls": 5}
    assert value(found["shape"]["crush"]["auc"]) == 1
    assert list(found["region"]) == ["T10-L2", "L3-L6"]
    assert found["region"]["L3-L6"]["counts"]["controls"] == 0
    assert found["region"]["L3-L6"]["auc"]["value"] is None
    assert list(found["scanner"]) == ["GE, BONE, > 3 mm", "Siemens, B31f, <= 1 mm"]


def patients(counts: dict[str, int], **more: Any) -> pd.DataFrame:
    """Shams of patients: severity counts up from 0 in steps of 0.01, over all of them."""
    names = [name for name, count in counts.items() for _ in range(count)]
    return cases_of([case("sham", severity=0.01 * n, patient_id=name, **more) for n, name in enumerate(names)])


def test_a_threshold_is_chosen_on_the_controls_of_other_patients() -> None:
    found = thresholds(patients({"a": 20, "b": 10, "c": 10}))
    assert found[0] == pytest.approx(0.39)  # of 20 others the one of rank ceil(.95 * 21) = 20
    assert found[20] == pytest.approx(0.39)  # of 30 others the one of rank ceil(.95 * 31) = 30
    assert found[30] == pytest.approx(0.29)
    assert len(set(found[:20])) == 1


def test_a_threshold_needs_three_patients_and_nineteen_other_controls() -> None:
    assert np.isnan(thresholds(patients({"a": 30, "b": 30}))).all()
    few = thresholds(patients({"a": 18, "b": 5, "c": 13}))
    assert np.isnan(few[:18]).all()
    assert np.isfinite(few[18:]).all()
    assert np.isnan(thresholds(patients({"a": 20, "b": 20, "c": 20}, evaluable=False))).all()


def test_noticed_at_95_percent_specificity_is_beyond_the_threshold() -> None:
    rows = [case("fracture", 0.3, 1.0, threshold=0.9), case("fracture", 0.3, 1.0, threshold=1.0), case("fracture", 0.3)]
    assert value(group(rows)["sensitivity_at_95"]) == 0.5  # the third has no threshold
    assert group(rows)["sensitivity_at_95"]["n"] == 2


LOSS = np.linspace(0.06, 0.60, 28)
ONCE = np.ones((1, 28))


def test_the_smallest_loss_noticed_lies_where_80_percent_are() -> None:
    rng = np.random.default_rng(0)
    loss = rng.uniform(0.05, 0.6, 5000)
    noticed = rng.random(5000) < expit((loss - 0.25) / 0.04)
    assert loss_noticed(loss, noticed, np.ones((1, 5000)))[0] == pytest.approx(0.25 + 0.04 * math.log(4), abs=0.01)


def test_the_smallest_loss_noticed_exists_where_losses_separate_and_at_the_ends() -> None:
    assert 0.30 < loss_noticed(LOSS, LOSS > 0.31, ONCE)[0] < 0.34
    assert loss_noticed(LOSS, LOSS > 0, ONCE)[0] == pytest.approx(0.06)
    assert loss_noticed(LOSS, LOSS > 1, ONCE)[0] == 1
    assert np.isnan(loss_noticed(LOSS, LOSS < 0.3, ONCE)[0])
    assert np.isnan(loss_noticed(LOSS, LOSS > 0.3, np.zeros((1, 28)))[0])


def test_case_weights_are_repeated_cases() -> None:
    noticed = np.arange(28) % 5 > 1
    weights = np.tile([2.0, 0, 1, 3], 7)
    repeated = np.repeat(np.arange(28), weights.astype(int))
    expected = loss_noticed(LOSS[repeated], noticed[repeated], np.ones((1, len(repeated))))
    assert loss_noticed(LOSS, noticed, weights[None]) == pytest.approx(expected, abs=1e-9)


def test_ten_fractures_are_needed_for_the_smallest_loss() -> None:
    rows = [case("fracture", loss, 2.0 if loss > 0.3 else 0.2) for loss in np.linspace(0.06, 0.58, 10)]
    assert 0.25 < value(group(rows)["loss_noticed"]) < 0.4
    assert group(rows[1:])["loss_noticed"]["value"] is None


def test_height_errors_by_kind_and_column() -> None:
    def measured(kind: str, error: float, **more: Any) -> dict[str, Any]:
        heights = {f"height_{column}_mm": 20.0 for column in ("anterior", "middle", "posterior")}
        found = {f"measured_{column}_mm": 20.0 for column in ("anterior", "middle", "posterior")}
        return case(kind, **more) | heights | found | {"measured_anterior_mm": 20 + error}

    rows = [measured("sham", 1.5), measured("sham", -0.5), measured("fracture", 3.0, loss=0.3), measured("source", 9.0)]
    rows.append(case("sham") | {f"height_{column}_mm": 20.0 for column in ("anterior", "middle", "posterior")})
    found = height_measures(cases_of(rows), SETTINGS, 1)
    assert list(found) == ["fracture", "sham", "wedge"]
    assert value(found["sham"]["anterior"]["mae"]) == pytest.approx(1.0)
    assert value(found["sham"]["anterior"]["bias"]) == pytest.approx(0.5)
    assert value(found["sham"]["all"]["mae"]) == pytest.approx(1 / 3)
    assert found["sham"]["anterior"]["mae"]["n"] == 2
    assert value(found["fracture"]["anterior"]["bias"]) == pytest.approx(3.0)
    assert value(found["wedge"]["posterior"]["mae"]) == 0


def test_a_cohort_without_a_virtual_fracture_has_no_figures_and_says_why() -> None:
    nothing = cases_of(ROWS).iloc[:0]
    lost = empty_table(SCANS)
    lost.loc[0, ["patient_id", "scan_id", "state", "reason"]] = [
        "p0",
        "s0-virtual-1",
        "excluded",
        "nothing_to_collapse",
    ]
    found = challenge_measures({"dae": nothing}, lost, SETTINGS, 1, 1)
    assert found["scans_left_out"] == {"nothing_to_collapse": 1}
    assert found["vertebrae"] == {"fracture": 0, "sham": 0, "untouched": 0, "source": 0}
    assert found["methods"]["dae"]["all"]["auc"]["value"] is None
    assert found["methods"]["dae"]["shape"] == {}
    assert found["heights"] == {}
