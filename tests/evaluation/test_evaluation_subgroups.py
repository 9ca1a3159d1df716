"""Subgroups: every vertebra is in one group of each kind, and what is not known is a group of its own."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.cohort.subjects import AGE_BANDS
from vertegrade.evaluation.cases import labelled_cases, split_cases
from vertegrade.evaluation.evaluate import STRATA, evaluate, metrics_table
from vertegrade.evaluation.subgroups import UNKNOWN, subgroups
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=20)
COHORT = make_cohort(30)
DONE = COHORT.scans.loc[COHORT.scans["state"] == "done", "scan_id"].tolist()
SUBJECTS = {scan: ["FMO"[n % 3], AGE_BANDS[5 + n % 5]] for n, scan in enumerate(DONE) if n % 4}
SCANS = COHORT.scans.assign(
    manufacturer=["", "Ay", "Be"] * 10, kernel=["", "B30f", "STANDARD"] * 10, image_sha256=COHORT.scans["image_sha256"]
)
TABLES = replace(COHORT.tables(), scans=SCANS, subjects=SUBJECTS)


@pytest.fixture(scope="module")
def metrics():
    return evaluate(COHORT.dae, TABLES, SETTINGS, 1, 7, "dae")


def test_groups_add_up_and_stand_in_their_order_with_the_unknown_last(metrics) -> None:
    test = metrics["splits"]["test"]
    for kind in ("by_sex", "by_age", "by_maker", "by_kernel", "by_thickness"):
        counts = [group["counts"] for group in test[kind].values()]
        assert sum(count["vertebrae"] for count in counts) == test["counts"]["vertebrae_evaluated"]
        assert sum(count["patients"] for count in counts) == test["counts"]["patients_evaluated"]
    assert [*test["by_sex"]][-1] == UNKNOWN
    assert [*test["by_maker"]] == ["Ay", "Be", UNKNOWN]
    assert [*test["by_kernel"]] == ["Ay B30f", "Be STANDARD", UNKNOWN]
    ages = [*test["by_age"]]
    assert ages == [band for band in (*AGE_BANDS, UNKNOWN) if band in ages]


def test_a_group_contains_the_patients_that_the_sheet_says(metrics) -> None:
    cases = split_cases(labelled_cases(COHORT.dae, TABLES), "test")
    graded = cases[cases["evaluable"]]
    women = graded["scan_id"].map(lambda scan: SUBJECTS.get(scan, [""])[0]) == "F"
    block = metrics["splits"]["test"]["by_sex"]["female"]
    assert block["counts"]["vertebrae"] == women.sum()
    fractured = graded["genant_grade"] >= 1
    noticed = (graded["grade"] >= 1)[women & fractured]
    assert block["sensitivity"]["value"] == pytest.approx(noticed.mean())


def test_without_sheet_and_header_all_is_unknown_and_nothing_is_guessed() -> None:
    cases = labelled_cases(COHORT.dae, TABLES)
    nothing = COHORT.scans.assign(manufacturer="", kernel="")
    of = subgroups(cases.assign(slice_thickness_mm=np.nan), nothing, {}, SETTINGS)
    assert [set(groups) for groups, _ in of.values()] == [{UNKNOWN}] * 5


def test_the_table_of_all_figures_has_the_groups(metrics) -> None:
    groups = set(metrics_table(metrics)["group"])
    assert {"sex female", "maker Ay", "kernel Be STANDARD", "age unknown"} <= groups
    assert all(any(group.startswith(kind.removeprefix("by_")) for group in groups) for kind in STRATA)
