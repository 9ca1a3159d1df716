"""The learned localizer in the workflow: from DICOM to heights and pictures; what a correction by hand re-runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vertegrade.cohort.splits import hashed_split
from vertegrade.settings import SplitSettings
from workflow.runs import snakemake

HEADER = "scan_id,vertebra,action\n"
TARGETS = [f"results/measurements/{shard}.parquet" for shard in (0, 1)]


def with_overrides(folder: Path) -> dict[str, dict[str, object]]:
    """Config of four patients, found by the networks and corrected by `overrides.csv`."""
    localize = {"method": "learned", "overrides": str(folder / "overrides.csv")}
    return {"localize": localize, "phantom": {"patients": 4}, "run": {"device": "cpu"}}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the scans of four patients were localized, measured and drawn."""
    folder = tmp_path_factory.mktemp("learned")
    (folder / "overrides.csv").write_text(HEADER)
    run = snakemake(folder, "--cores", "2", *TARGETS, "localization_pictures", config=with_overrides(folder))
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    return folder


def tables(folder: Path, pattern: str) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((folder / "results").glob(pattern))), ignore_index=True)


def test_most_whole_vertebrae_are_found_and_measured(learned: Path) -> None:
    truth = tables(learned, "phantom/*/truth.parquet").query("complete")
    found = tables(learned, "measurements/[01].parquet")
    both = truth.merge(found, on=["scan_id", "vertebra"], suffixes=("", "_found"))
    assert len(both) > 0.9 * len(truth)
    error = both["height_middle_mm_found"] - both["height_middle_mm"]
    assert both["evaluable"].mean() > 0.9
    assert np.nanmedian(error.abs()) < 1.0


def test_every_localized_scan_has_a_picture(learned: Path) -> None:
    pictures = {path.stem for path in (learned / "results/localization").glob("*/*.png")}
    assert pictures == set(tables(learned, "landmarks/[01].parquet")["scan_id"])


def test_the_networks_are_trained_on_masks_of_training_patients_alone(learned: Path) -> None:
    train = {"scans": 2, "own_masks": True, "refiner_steps": 1, "detector_steps": 1, "centreline_steps": 1}
    config = with_overrides(learned) | {"train_localizer": train}
    run = snakemake(learned, "--cores", "2", "train_localizer", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    metrics = json.loads((learned / "results/localizer/training.json").read_text())
    splits = SplitSettings(train=0.5, validation=0.25)  # of tiny.yaml
    scans = tables(learned, "ct/[01].parquet")
    expected = {row.scan_id for row in scans.itertuples() if hashed_split(row.patient_id, splits) == "train"}
    samples = {path.name.split(".")[0] for path in (learned / "results/localizer/state").glob("*/samples/scan-*")}
    assert 0 < metrics["own_scans"] == len(expected) < len(scans)
    assert samples == {f"scan-{scan}" for scan in expected}


def test_a_correction_re_runs_the_localization_of_its_shard_alone(learned: Path) -> None:
    row = pd.read_parquet(learned / "results/landmarks/1.parquet").iloc[0]
    (learned / "overrides.csv").write_text(f"{HEADER}{row['scan_id']},{row['vertebra']},delete\n")
    plan = snakemake(learned, "-n", *TARGETS, config=with_overrides(learned))
    assert plan.returncode == 0, plan.stdout + plan.stderr
    blocks = plan.stdout.split("rule localize:")[1:]
    assert [block.split("output: ")[1].split(",")[0] for block in blocks] == ["results/landmarks/1.parquet"]
