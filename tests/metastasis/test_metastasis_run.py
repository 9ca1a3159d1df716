"""`snakemake metastasis`, tiny, from phantoms as DICOM to the page; and the same scans read as a public data set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.runs import snakemake
from vertegrade.levels import LABEL_OF
from vertegrade.metastasis.tables import BONE_LABELS, BONE_PREDICTIONS, LESION_TRUTH
from vertegrade.tables import SCANS, read_table

# A seed and a key with which the training patients have all classes.
TINY: dict[str, Any] = {
    "run": {"seed": 3},
    "cohort": {"splits": {"train": 0.6, "validation": 0.2, "key": "tiny"}},
    "phantom": {"acquisition": {"max_voxels": 2_000_000}},
    "evaluation": {"bootstrap_resamples": 20, "minimum_cases": 1},
    "metastasis": {
        "shards": 1,
        "phantom": {"patients": 7, "ill_patients": 1.0, "lesion_share": 0.7},
        "slices": {"count": 3, "size": 32, "pixel_mm": 3.0},
        "network": {"growth": 4, "first_channels": 8, "blocks": [1, 1], "fusion": "mlp"},
        "train": {"steps": 4, "batch_size": 4, "warmup_steps": 1, "validate_every": 2},
        "baseline_growth": 4, "baseline_first_channels": 8, "baseline_blocks": [1, 1],
        "baseline_steps": 6,
    },
}  # fmt: skip


def run(folder: Path, config: dict[str, Any]) -> str:
    made = snakemake(folder, "--cores", "1", "metastasis", config=config)
    assert made.returncode == 0, (made.stdout + made.stderr)[-4000:]
    return str(made.stdout + made.stderr)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metastasis")
    run(folder, TINY)
    return folder / "results/metastasis"


def test_from_dicom_to_page(finished: Path) -> None:
    labels = read_table(finished / "slices/0_labels.parquet", BONE_LABELS)
    truth = read_table(finished / "phantom/0/truth.parquet", LESION_TRUTH)
    assert set(labels["vertebra"]) <= {*range(LABEL_OF["T1"], LABEL_OF["L6"] + 1), LABEL_OF["T13"]}
    assert len(labels) <= len(truth)
    assert set(labels["bone_class"]) == {"normal", "blastic", "mixed", "lytic"}
    for network, steps in (("multitask", 4), ("densenet121", 6)):
        training = json.loads((finished / network / "training.json").read_text())
        assert training["steps"] == steps
        assert ("fused_vertebrae" in training) is (network == "multitask")
        answers = read_table(finished / network / "predictions.parquet", BONE_PREDICTIONS)
        assert len(answers) == len(labels)
    metrics = json.loads((finished / "metrics.json").read_text())
    usable = labels[labels["usable"]]
    assert sum(metrics["levels"]["vertebrae"]["counts"].values()) == (usable["split"] == "test").sum() > 0
    page = (finished / "report.html").read_text()
    assert "PHANTOM lesions: drawn by a program" in page
    assert "data:image/png" in page
    assert not (finished.parent / "grades.csv").exists()


def test_slices_show_what_was_drawn(finished: Path) -> None:
    labels = read_table(finished / "slices/0_labels.parquet", BONE_LABELS)
    slices = np.load(finished / "slices/0.npy")
    for row in labels[labels["usable"]].itertuples():
        _, inside, codes = np.moveaxis(slices[row.row], 1, 0)
        assert not codes[inside == 0].any()
        if row.bone_class == "normal":
            assert not (codes & 3).any()
    lytic, blastic, bone = (np.concatenate([part[0][chosen(part)] for part in _parts(slices)]) for chosen in _KINDS)
    assert np.median(lytic) < np.median(bone) < np.median(blastic)


def _parts(slices: np.ndarray) -> list[np.ndarray]:
    return [np.moveaxis(each, 1, 0) for each in slices]


_KINDS = (
    lambda part: (part[2] & 1) > 0,
    lambda part: (part[2] & 2) > 0,
    lambda part: (part[2] == 0) & (part[1] > 0),
)


def test_the_same_scans_as_a_public_data_set(finished: Path, tmp_path: Path) -> None:
    """The clinical table is all that is known then: same classes, no sides, no answers for slices of ill vertebrae."""
    config = TINY | {"metastasis": TINY["metastasis"] | {"folder": str(finished / "phantom/0/cases")}}
    made = snakemake(tmp_path, "--cores", "1", "--until", "lesion_slices", "metastasis", config=config)
    assert made.returncode == 0, (made.stdout + made.stderr)[-4000:]
    drawn = read_table(finished / "slices/0_labels.parquet", BONE_LABELS)
    there = tmp_path / "results/metastasis/slices"
    read = read_table(there / "0_labels.parquet", BONE_LABELS)
    assert (read["source"] == "Spine-Mets-CT-SEG").all()
    both = drawn[drawn["usable"]].merge(read, on=["scan_id", "vertebra"], suffixes=("", "_read"))
    assert len(both) == drawn["usable"].sum() > 10
    assert (both["bone_class"] == both["bone_class_read"]).all()
    assert both["usable_read"].all()
    ill = both["bone_class"] != "normal"
    assert (both.loc[ill, "posterolateral_read"] == -1).all()
    assert (both.loc[~ill, "posterolateral_read"] == 0).all()
    assert (read_table(there / "0_scans.parquet", SCANS)["state"] == "done").all()
    known = pd.read_parquet(there / "0_slices.parquet").merge(
        both[["scan_id", "vertebra", "lytic"]], on=["scan_id", "vertebra"]
    )
    assert (known.loc[known["lytic_y"] == 1, "lytic_x"] == -1).all()
