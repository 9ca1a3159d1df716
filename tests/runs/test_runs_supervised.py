"""A method that is asked for by its name, from DICOM to the page: patches, network, scores, grades, comparison."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import snakemake
from vertegrade.tables import CROPS, PREDICTIONS, read_table

CONFIG: dict[str, Any] = {
    "methods": ["dae", "pca", "keypoints", "supervised"],
    "patches": {"size": 16, "voxel_mm": 3.0},
    "supervised": {
        "model": {"network": "seresnet", "bodies": "body"},
        "train": {"steps": 3, "batch_size": 8, "validate_every": 2},
    },
}


@pytest.mark.slow
def test_supervised_is_trained_graded_and_compared(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    done = snakemake(run, "--cores", "2", config=CONFIG)
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
    training = json.loads((results / "supervised/training.json").read_text())
    assert training["best_step"] in (2, 3)
    assert set(json.loads((results / "summary.json").read_text())["methods"]) == set(CONFIG["methods"])
    page = (results / "report/cohort.html").read_text()
    assert "Supervised − PCA, paired" in page
    again = snakemake(run, "-n", config=CONFIG)
    assert "Nothing to be done" in again.stdout + again.stderr
