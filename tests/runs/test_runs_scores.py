"""Methods that grade by scores of their own: their jobs in the workflow, and their scripts one after the other."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.runs import snakemake
from helpers.script_jobs import run_script
from helpers.tiny_classifier import images, write_files
from vertegrade.methods import METHODS
from vertegrade.settings import Settings
from vertegrade.tables import PREDICTIONS, read_table

SMALL = {"steps": 2, "batch_size": 4, "validate_every": 1}


def planned(folder: Path, config: dict[str, Any], *targets: str) -> tuple[dict[str, int], str]:
    """Jobs by rule of a dry run of the tiny phantoms, and its text."""
    run = snakemake(folder, "-n", *targets, config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    text = run.stdout + run.stderr
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)}, text


def test_the_default_run_has_no_job_of_theirs(tmp_path: Path) -> None:
    counts, _ = planned(tmp_path, {})
    assert not {"patches", "train_supervised", "train_supcon", "calibrate_scores", "grade_scores"} & counts.keys()
    assert counts["evaluate"] == 3


def test_all_methods_have_their_jobs_also_for_virtual_fractures(tmp_path: Path) -> None:
    counts, text = planned(tmp_path, {"methods": "all"}, "all", "challenge")
    for method in ("supervised", "supcon"):
        assert counts[f"train_{method}"] == 1
        assert counts[f"score_{method}"] == counts[f"score_{method}_virtual"] == counts["crop"]
    assert counts["patches"] == counts["patches_virtual"] == counts["crop"]
    assert counts["calibrate_scores"] == counts["grade_scores"] == counts["grade_scores_virtual"] == 2
    assert counts["evaluate"] == len(METHODS)
    (inputs,) = re.findall(r"^rule train_supervised:\n    input: (.*)$", text, re.MULTILINE)
    assert "results/crops/0.npy" in inputs
    assert "patches" not in inputs


def test_where_virtual_fractures_teach_they_teach_networks_too(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    rows = [f"s{n},p{n},{tmp_path}/s{n}.nii.gz" for n in range(12)]
    for row in rows:
        Path(row.split(",")[2]).touch()
    sheet.write_text("\n".join(["scan_id,patient_id,path", *rows]) + "\n")
    config: dict[str, Any] = {"methods": "all", "cohort": {"labels": "virtual", "sheet": str(sheet)}}
    config["localize"] = {"method": "learned"}
    _, text = planned(tmp_path, config)
    for rule, read in (
        ("train_supcon", "virtual/patches/"),
        ("train_supervised", "virtual/crops/"),
        ("calibrate_scores", "virtual/scores/"),
    ):
        found = re.findall(rf"^rule {rule}:\n    input: (.*)$", text, re.MULTILINE)
        assert found, rule
        assert all(read in files for files in found), rule
        assert all("virtual/labels/" in files for files in found), rule


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
