"""summary.json keeps the contract that docs/reference/summary.md states."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.evaluation.summary import VERTEBRA, summary
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.workflow.cost import cost
from vertegrade.workflow.run_facts import run_facts

PAGE = Path(__file__).parents[2] / "docs/reference/summary.md"
COUNTS = {"scans": 40, "scans_done": 38, "vertebrae": 532, "vertebrae_graded": 500}
COUNTS |= {"vertebrae_uncertain_level": 12, "vertebrae_doubtful_points": 3}
COUNTS |= {"vertebrae_unlike_training": 5, "vertebrae_methods_disagree": 21}
COST = cost([], 40)
FACTS = {"commit": "abc", "settings_sha256": "0" * 64, "jobs": 31, "wall_s": 12.5}


@pytest.fixture(scope="module")
def schema():
    return json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL).group(1))


def _metrics(usable: bool = True):
    cohort = make_cohort(30)
    labels = cohort.labels if usable else cohort.labels.assign(usable=False)
    tables = cohort.tables(labels=labels)
    settings = EvaluationSettings(bootstrap_resamples=50)
    return {
        name: evaluate(predictions, tables, settings=settings, fracture_grade=1, seed=7, method=name)
        for name, predictions in (("dae", cohort.dae), ("pca", cohort.pca))
    }


def test_the_summary_keeps_the_documented_schema(schema):
    metrics = _metrics()
    result = summary(metrics, COUNTS, FACTS, COST)
    jsonschema.validate(json.loads(json.dumps(result, allow_nan=False)), schema)
    assert result["methods"]["dae"]["vertebra_auc"] == metrics["dae"]["splits"]["test"]["vertebra"]["auc"]["value"]
    test = metrics["dae"]["splits"]["test"]
    assert result["methods"]["dae"]["patient_auc"] == test["patient"]["auc"]["value"]
    for name in VERTEBRA:
        assert result["methods"]["dae"][name] == test["vertebra"][name]["value"], name
    assert result["methods"]["pca"]["vertebra_auc"] < result["methods"]["dae"]["vertebra_auc"]


def test_intervals_are_told_by_grade_region_and_thickness():
    metrics = _metrics()
    test = metrics["dae"]["splits"]["test"]
    figures = summary(metrics, COUNTS, FACTS, COST)["methods"]["dae"]
    assert list(figures["interval_coverage_by_grade"]) == ["0", "1", "2", "3"]
    for grade, value in figures["interval_coverage_by_grade"].items():
        assert value == test["vertebra"][f"interval_coverage_grade_{grade}"]["value"]
        assert figures["interval_width_by_grade"][grade] == test["vertebra"][f"interval_width_grade_{grade}"]["value"]
    for group in ("region", "thickness"):
        for name in ("interval_coverage", "interval_width"):
            expected = {key: cell[name]["value"] for key, cell in test[f"by_{group}"].items()}
            assert figures[f"{name}_by_{group}"] == expected
    mild = _metrics()
    mild["dae"]["splits"]["test"]["vertebra"]["interval_coverage_grade_3"]["n"] = 0
    assert list(summary(mild, COUNTS, FACTS, COST)["methods"]["dae"]["interval_coverage_by_grade"]) == ["0", "1", "2"]


def test_patients_are_told_with_their_intervals():
    metrics = _metrics()
    figures = summary(metrics, COUNTS, FACTS, COST)["methods"]["dae"]
    for name in ("sensitivity", "specificity", "brier", "ece"):
        cell = metrics["dae"]["splits"]["test"]["patient"][name]
        assert figures[f"patient_{name}"] == cell["value"]
        assert figures[f"patient_{name}_low"] == cell["low"]
        assert figures[f"patient_{name}_high"] == cell["high"]


def test_a_run_without_labels_gives_null_and_still_keeps_the_schema(schema):
    result = summary(_metrics(usable=False), COUNTS, FACTS, COST)
    jsonschema.validate(result, schema)
    figures = result["methods"]["dae"]
    assert all(value is None or value == {} for value in figures.values())


def test_facts_that_are_not_in_the_contract_stay_out(schema):
    jsonschema.validate(summary(_metrics(), COUNTS | {"patients": 3}, FACTS | {"host": "x"}, COST), schema)


def test_a_missing_count_is_an_error():
    with pytest.raises(KeyError, match="scans_done"):
        summary({}, {"scans": 1, "vertebrae": 1, "vertebrae_graded": 1}, FACTS, COST)


def test_the_schema_can_refuse(schema):
    broken = summary(_metrics(), COUNTS, FACTS, COST)
    broken["methods"]["dae"]["mae"] = "0.3"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_the_commit_is_null_where_there_is_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_facts([], "0" * 64)["commit"] is None
