"""What each method took: jobs that its grades follow from, training apart, and what all methods need apart."""

from typing import Any

import pytest

from vertegrade.evaluation.comparison.cost import cost_table
from vertegrade.workflow.lineage import LineageError
from vertegrade.workflow.manifest import Manifest


def job(rule: str, reads: list[str], writes: list[str], cpu_s: float, **wildcards: str) -> Manifest:
    used: dict[str, Any] = {"cpu_s": cpu_s, "wall_s": cpu_s / 2, "peak_rss_mb": 100 + cpu_s, "device": "cpu"}
    facts: dict[str, Any] = {"params": {}, "code": {}, "versions": {}, "host": "", "started": "", "finished": rule}
    return Manifest(
        rule=rule,
        wildcards=wildcards,
        results="results",
        given=[],
        inputs={path: path * 2 for path in reads},
        outputs={path: path * 2 for path in writes},
        looks={},
        resources=used,
        **facts,
    )


JOBS = [
    job("phantom", [], ["dicom"], 1000),
    job("convert", ["dicom"], ["ct"], 3, shard="0"),
    job("crop", ["ct"], ["crops"], 4, shard="0"),
    job("train_dae", ["crops"], ["weights"], 500),
    job("encode", ["crops", "weights"], ["z"], 20, shard="0"),
    job("calibrate", ["z"], ["calibrator"], 7, method="dae"),
    job("grade", ["z", "calibrator"], ["dae"], 1, method="dae"),
    job("grade", ["crops"], ["pca"], 2, method="pca"),
    job("cohort_page", ["dae"], ["page"], 90),
]
PREDICTIONS = {"dae": ("dae", "daedae"), "pca": ("pca", "pcapca")}


def test_training_and_what_all_need_stand_apart() -> None:
    table = cost_table(PREDICTIONS, JOBS, 5).set_index(["method", "stage"])
    assert table["cpu_s"].to_dict() == {
        ("dae", "training"): 507,
        ("dae", "shared"): 7,
        ("dae", "grading"): 21,
        ("pca", "training"): 0,
        ("pca", "shared"): 7,
        ("pca", "grading"): 2,
    }  # no phantom is drawn for a patient, and no page is a grade
    assert table.loc[("dae", "training"), "rules"] == "calibrate train_dae"
    assert table.loc[("dae", "training"), "peak_memory_mb"] == 600
    assert table.loc[("dae", "grading"), "wall_s"] == 10.5
    assert (table["gpu_s"] == 0).all()
    assert set(table["scans"]) == {5}


def test_one_method_alone_shares_nothing() -> None:
    table = cost_table({"dae": PREDICTIONS["dae"]}, JOBS, 5).set_index("stage")
    assert table.loc["shared", "jobs"] == 0
    assert table.loc["grading", "cpu_s"] == 28


def test_grades_that_were_made_again_are_not_counted_by_other_jobs() -> None:
    with pytest.raises(LineageError, match="made it again"):
        cost_table({"dae": ("dae", "another")}, JOBS, 5)
