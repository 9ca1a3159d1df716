"""All methods from DICOM to both pages: patches or spines, networks, scores, grades, comparison."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.runs import snakemake
from vertegrade.evaluation.comparison.tables import VERTEBRAE
from vertegrade.methods import METHODS
from vertegrade.tables import CROPS, PREDICTIONS, read_table

CONFIG: dict[str, Any] = {
    "methods": "all",
    "compare": {"label_shares": [1.0], "label_draws": 1},
    "patches": {"size": 16, "voxel_mm": 3.0},
    "supervised": {
        "model": {"network": "seresnet", "bodies": "body"},
        "train": {"steps": 3, "batch_size": 8, "validate_every": 2},
    },
    "supcon": {"model": {"projection": 8}, "train": {"steps": 2, "batch_size": 4, "validate_every": 2}},
    "seq2seq": {
        "spine": {"voxel_mm": 4.0, "size": 16, "step_mm": 16.0},
        "model": {"variants": ["recurrent", "transformer"], "features": 16, "layers": 1},
        "train": {"steps": 2, "batch_size": 2, "validate_every": 2},
    },
}


@pytest.mark.slow
def test_all_methods_are_trained_graded_and_compared(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    done = snakemake(run, "--cores", "1", "--", "all", "compare", config=CONFIG)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    results = run / "results"
    for name in ("train_dae", "encode/0", "crop/0"):  # nothing of the others ran again
        old = next((finished / "results/manifest").glob(f"{name}*json*"), None) or next(
            (finished / f"results/manifest/{name}").glob("*.json")
        )
        assert (results / old.relative_to(finished / "results")).read_bytes() == old.read_bytes()
    graded = read_table(results / "predictions/supervised.parquet", PREDICTIONS)
    others = read_table(results / "predictions/dae.parquet", PREDICTIONS)
    assert graded["evaluable"].sum() == others["evaluable"].sum() > 0  # the same vertebrae
    assert len(read_table(results / "patches/0.parquet", CROPS)) > 0
    by_spine = read_table(results / "predictions/seq2seq.parquet", PREDICTIONS)
    assert len(by_spine) == len(graded)
    assert set(by_spine["reason"]) - set(graded["reason"]) <= {"no_canal", "beyond_canal"}
    assert by_spine["evaluable"].sum() > 0.8 * graded["evaluable"].sum()
    patients = json.loads((results / "evaluation/seq2seq/patients.json").read_text())
    assert set(patients["networks"]) == {"recurrent-0", "transformer-1", "ensemble"}
    assert set(json.loads((results / "seq2seq/training.json").read_text())) >= {"recurrent-0_best_step", "patients"}
    training = json.loads((results / "supervised/training.json").read_text())
    assert training["best_step"] in (2, 3)
    assert set(json.loads((results / "summary.json").read_text())["methods"]) == set(METHODS)
    rows = pd.read_csv(results / "compare/comparison.csv")
    cohort, comparison = ((results / page).read_text() for page in ("report/cohort.html", "compare/comparison.html"))
    for name, method in METHODS.items():
        predicted = read_table(results / f"predictions/{name}.parquet", PREDICTIONS)
        assert (predicted.loc[predicted["evaluable"], "grade"] >= 0).sum() > 0, name
        own = rows[(rows["method"] == name) & rows["minus"].isna() & (rows["unit"] == VERTEBRAE)]
        assert own.loc[own["figure"] == "graded", "value"].gt(0).all(), name
        assert {"auc", "graded"} <= set(own["figure"]), name
        assert f'<th scope="row">{method.label}</th>' in comparison, name
        assert f'<th scope="col" class="number">{method.label}</th>' in cohort, name
        assert not method.baseline or f"{method.label} − {METHODS[method.baseline].label}</th>" in cohort, name
    again = snakemake(run, "-n", "--", "all", "compare", config=CONFIG)
    assert "Nothing to be done" in again.stdout + again.stderr
