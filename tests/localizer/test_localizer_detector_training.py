"""Training of detector and refiner from samples to a weights file, on a scan small enough for a test."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vertegrade.ct.volume import Volume
from vertegrade.localizer import detector_training
from vertegrade.localizer.detector import load_vertebra_network
from vertegrade.localizer.detector_training import make_samples, train_vertebra_network
from vertegrade.tables import POINTS


def small_scan(seed: int, number: int) -> tuple[Volume, pd.DataFrame]:
    """Three bodies of water in air, 30 mm apart."""
    rows = []
    for n, label in enumerate((19, 20, 21)):
        centre = np.array([40.0, 40.0, 90.0 - 30 * n])
        row: dict[str, object] = {"vertebra": label, "complete": True}
        row |= {f"centre_{axis}_mm": centre[a] for a, axis in enumerate("xyz")}
        for point, (y, z) in zip(POINTS, [(y, z) for y in (14, 0, -14) for z in (11, -11)], strict=True):
            row |= {f"{point}_{axis}_mm": v for axis, v in zip("xyz", centre + np.array([0, y, z]), strict=True)}
        rows.append(row)
    hu = np.full((27, 27, 40), -1000, np.int16)
    hu[8:19, 8:19, 5:36] = 100 + seed + number
    return Volume(hu, np.diag([3.0, 3.0, 3.0, 1.0])), pd.DataFrame(rows)


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(detector_training, "training_scan", small_scan)
    monkeypatch.setattr(detector_training, "cohort_scan", small_scan)
    make_samples(tmp_path / "samples", seed=1, count=2)
    return tmp_path / "samples"


def test_samples_that_are_there_are_kept(samples: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in samples.iterdir()}
    make_samples(samples, seed=1, count=2)
    assert {file.name: file.stat().st_mtime_ns for file in samples.iterdir()} == before
    assert len(before) == 4


def test_a_training_writes_weights_that_load_and_go_on(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_training, "DETECTOR_BATCH", 1)
    monkeypatch.setattr(detector_training, "REFINER_BATCH", 2)
    weights = tmp_path / "vertebrae.safetensors"
    metrics = train_vertebra_network([samples], tmp_path / "a", weights, 1, 1, seed=3, device="cpu")
    assert metrics["detector_steps"] == metrics["refiner_steps"] == 1
    load_vertebra_network(weights)
    again = tmp_path / "again.safetensors"
    train_vertebra_network([samples], tmp_path / "b", again, 1, 1, seed=3, device="cpu")
    assert again.read_bytes() == weights.read_bytes()
    train_vertebra_network([samples], tmp_path / "c", again, 1, 1, seed=3, device="cpu", start=weights)


def test_no_samples_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run make_samples first"):
        train_vertebra_network([tmp_path], tmp_path / "a", tmp_path / "w", 1, 1, seed=0, device="cpu")
