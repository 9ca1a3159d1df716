"""A new grading method, added as CONTRIBUTING.md says: one entry, one rule file, one script."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.runs import clone, snakemake
from vertegrade.tables import PREDICTIONS, read_table

ENTRY = """        Method(
            name="toy",
            label="Toy",
            needs=frozenset({"crops"}),
            latents="latents/toy.parquet",
            weights="",
            model_files=fitted("toy"),
            baseline="pca",
            about="The mean and the spread of the HU of a crop.",
        ),
    )
}
"""
RULE = '''rule encode_toy:
    """Two numbers per crop."""
    input:
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
    output:
        latents="<results>/latents/toy.parquet",
    log:
        "<logs>/encode_toy.log",
    params:
        code=code_of("encode_toy"),
        packages=packages_of("encode_toy"),
    script:
        "../workflow_scripts/encode_toy.py"
'''
SCRIPT = '''"""Two numbers per crop."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.tables import CROPS, LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    tables = []
    for crops_file, pixels_file in zip(job.input.crops, job.input.pixels, strict=True):
        crops, pixels = read_table(crops_file, CROPS), read_array(pixels_file).astype(np.float32)
        z = np.stack([pixels.mean(axis=(1, 2, 3)), pixels.std(axis=(1, 2, 3))], axis=1)
        tables.append(crops.assign(model_sha256="0" * 64, z=list(z)))
    table = pd.concat(tables)
    write_table(job.output.latents, table[[name for name in LATENTS.columns if name in table]], LATENTS)
'''
WITH_TOY: dict[str, Any] = {"methods": ["dae", "pca", "keypoints", "toy"]}


@pytest.mark.slow
def test_a_new_method_is_graded_compared_and_shown_by_three_files(finished: Path, tmp_path: Path) -> None:
    mine, run = clone(tmp_path / "clone"), tmp_path / "run"
    shutil.copytree(finished, run)
    table = mine / "workflow_scripts/vertegrade/methods.py"
    assert table.read_text().count("    )\n}\n") == 1
    table.write_text(table.read_text().replace("    )\n}\n", ENTRY))
    (mine / "rules/toy.smk").write_text(RULE)
    (mine / "workflow_scripts/encode_toy.py").write_text(SCRIPT)
    done = snakemake(run, "--cores", "1", root=mine, config=WITH_TOY)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    again = {path.parent.name for path in (run / "results/manifest").glob("*/toy.json")}
    assert again == {"fit_hyperplane", "calibrate", "fit_novelty", "grade", "evaluate", "differences"}
    old = (finished / "results/manifest/encode/0.json").read_bytes()
    assert (run / "results/manifest/encode/0.json").read_bytes() == old  # nothing of the others ran again
    graded = read_table(run / "results/predictions/toy.parquet", PREDICTIONS)
    assert set(graded["method"]) == {"toy"}
    assert graded["evaluable"].any()
    summary = json.loads((run / "results/summary.json").read_text())
    assert set(summary["methods"]) == {"dae", "pca", "keypoints", "toy"}
    page = (run / "results/report/cohort.html").read_text()
    assert "<strong>Toy</strong>: The mean and the spread of the HU of a crop." in page
    assert "Toy − PCA</th>" in page
