"""Methods that grade by scores of their own: their jobs in the workflow, and their scripts one after the other."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.planned import assert_reads, write_sheet
from helpers.runs import snakemake
from helpers.script_jobs import run_script
from helpers.tiny_classifier import images, write_files
from helpers.tiny_spines import MODEL, SPINE, write_spines
from vertegrade.methods import METHODS
from vertegrade.settings import Settings
from vertegrade.tables import PREDICTIONS, SCAN_SCORES, read_table

SMALL = {"steps": 2, "batch_size": 4, "validate_every": 1}


def planned(folder: Path, config: dict[str, Any], *targets: str) -> tuple[dict[str, int], str]:
    """Jobs by rule of a dry run of the tiny phantoms, and its text."""
    run = snakemake(folder, "-n", *targets, config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    text = run.stdout + run.stderr
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)}, text


def test_the_default_run_has_no_job_of_theirs(tmp_path: Path) -> None:
    counts, _ = planned(tmp_path, {})
    assert not {"patches", "straight_spines", "calibrate_scores", "grade_scores"} & counts.keys()
    assert not {"train_supervised", "train_supcon", "train_seq2seq"} & counts.keys()
    assert counts["evaluate"] == 3


def test_all_methods_have_their_jobs_also_for_virtual_fractures(tmp_path: Path) -> None:
    counts, text = planned(tmp_path, {"methods": "all"}, "all", "challenge")
    for method in ("supervised", "supcon", "seq2seq"):
        assert counts[f"train_{method}"] == 1
        assert counts[f"score_{method}"] == counts[f"score_{method}_virtual"] == counts["crop"]
    assert counts["patches"] == counts["patches_virtual"] == counts["crop"]
    assert counts["straight_spines"] == counts["straight_spines_virtual"] == counts["crop"]
    assert counts["calibrate_scores"] == counts["grade_scores"] == counts["grade_scores_virtual"] == 3
    assert counts["evaluate"] == len(METHODS)
    assert counts["evaluate_seq2seq"] == 1
    (inputs,) = re.findall(r"^rule train_supervised:\n    input: (.*)$", text, re.MULTILINE)
    assert "results/crops/0.npy" in inputs
    assert "patches" not in inputs


def test_where_virtual_fractures_teach_they_teach_networks_too(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "methods": "all",
        "cohort": {"labels": "virtual", "sheet": str(write_sheet(tmp_path, 12))},
    }
    config["localize"] = {"method": "learned"}
    _, text = planned(tmp_path, config)
    for rule, read in (
        ("train_supcon", "virtual/patches/"),
        ("train_supervised", "virtual/crops/"),
        ("train_seq2seq", "virtual/straightened/"),
        ("calibrate_scores", "virtual/scores/"),
    ):
        assert_reads(text, rule, read)
        assert_reads(text, rule, "virtual/labels/")


@pytest.mark.parametrize("method", ["supervised", "supcon"])
def test_the_scripts_lead_from_images_to_grades(method: str, tmp_path: Path) -> None:
    block = Settings.model_validate({method: {"train": SMALL}}).model_dump()[method]
    grading = {"grading.fracture_grade": 1, "grading.folds": 2, "grading.coverage": 0.51}
    validation = {"P0": "train", "P1": "validation", "P2": "validation", "P3": "validation"}
    files = write_files(tmp_path, images(patches=method == "supcon"), validation)
    out = {name: str(tmp_path / name) for name in ("w.safetensors", "t.json", "s.parquet", "p.json", "p.parquet")}
    geometry = {"geometry": {"patches": 1}}
    table, array, labels, splits = (
        str(files[name][0]) if isinstance(files[name], list) else str(files[name])
        for name in ("tables", "arrays", "labels", "splits")
    )
    run_script(
        tmp_path,
        f"train_{method}",
        {"tables": [table], "arrays": [array], "labels": [labels], "splits": splits},
        {"weights": out["w.safetensors"], "metrics": out["t.json"]},
        geometry | {"state_dir": str(tmp_path / "state"), "settings": {method: block, "grading.fracture_grade": 1}},
    )
    inputs = {"table": table, "array": array, "weights": out["w.safetensors"]}
    run_script(tmp_path, f"score_{method}", inputs, {"scores": out["s.parquet"]}, geometry)
    run_script(
        tmp_path,
        "calibrate_scores",
        {"scores": [out["s.parquet"]], "labels": [labels], "splits": splits},
        {"probabilities": out["p.json"]},
        {"settings": grading},
        {"method": method},
    )
    inputs = {"scores": [out["s.parquet"]], "probabilities": out["p.json"], "splits": splits}
    run_script(tmp_path, "grade_scores", inputs, {"predictions": out["p.parquet"]}, wildcards={"method": method})
    graded = read_table(out["p.parquet"], PREDICTIONS)
    assert len(graded) == 24
    assert set(graded["method"]) == {method}
    assert graded["evaluable"].all()
    assert np.isfinite(graded["severity"]).all()
    assert set(graded["patient_fractured"]) <= {0, 1}


def test_the_scripts_of_seq2seq_lead_from_spines_to_grades_and_patients(tmp_path: Path) -> None:
    block = Settings.model_validate({"seq2seq": {"train": SMALL}}).model_dump()["seq2seq"]
    variants = {"variants": ["convolution", "recurrent"]}
    block |= {"spine": SPINE.model_dump(), "model": MODEL.model_dump() | variants}
    files = write_spines(tmp_path, {"P0": "train", "P1": "validation", "P2": "validation", "P3": "validation"})
    labels, splits, canal = str(files["labels"][0]), str(files["splits"]), str(files["canal"])
    array, spines, bodies = (str(files[name][0]) for name in ("arrays", "spines", "bodies"))
    out = {name: str(tmp_path / name) for name in ("w.safetensors", "t.json", "s.parquet", "scans.parquet", "p.json")}
    settings = {"settings": {"seq2seq": block, "grading.fracture_grade": 1}}
    run_script(
        tmp_path,
        "train_seq2seq",
        {"arrays": [array], "spines": [spines], "bodies": [bodies], "canal": canal, "labels": [labels]}
        | {"splits": splits},
        {"weights": out["w.safetensors"], "metrics": out["t.json"]},
        settings | {"state_dir": str(tmp_path / "state")},
    )
    inputs = {"array": array, "spines": spines, "bodies": bodies, "canal": canal, "weights": out["w.safetensors"]}
    run_script(
        tmp_path,
        "score_seq2seq",
        inputs,
        {"scores": out["s.parquet"], "scans": out["scans.parquet"]},
        {"settings": {"seq2seq.spine": block["spine"], "grading.fracture_grade": 1}},
    )
    run_script(
        tmp_path,
        "calibrate_scores",
        {"scores": [out["s.parquet"]], "labels": [labels], "splits": splits},
        {"probabilities": str(tmp_path / "c.json")},
        {"settings": {"grading.fracture_grade": 1, "grading.folds": 2, "grading.coverage": 0.51}},
        {"method": "seq2seq"},
    )
    assert len(read_table(out["scans.parquet"], SCAN_SCORES)) == 5 * 3
    run_script(
        tmp_path,
        "evaluate_seq2seq",
        {"scans": [out["scans.parquet"]], "labels": labels, "splits": splits},
        {"metrics": out["p.json"]},
        {"settings": {"evaluation": Settings().evaluation.model_dump(), "grading.fracture_grade": 1}},
    )
    found = json.loads(Path(out["p.json"]).read_text())
    assert set(found["networks"]) == {"convolution-0", "recurrent-1", "ensemble"}
    assert found["scans"]["train"] == {"scans": 2, "not_evaluable": {"no_canal": 1}}
