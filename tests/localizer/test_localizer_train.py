"""From scans to samples to weights, on scans small enough for a test."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vertegrade.ct.volume import Volume
from vertegrade.localizer import train
from vertegrade.localizer.networks import load_localizer
from vertegrade.localizer.samples import KINDS, AnnotationError, make_samples, sample_files
from vertegrade.reasons import Refused
from vertegrade.settings.localizer import LocalizerTrainSettings
from vertegrade.tables import POINT_COLUMNS, POINTS
from vertegrade.training.interruption import TrainingInterrupted

STEPS = LocalizerTrainSettings(scans=2, refiner_steps=1, detector_steps=1, centreline_steps=1)


def small_scan(brightness: int = 100) -> tuple[Volume, pd.DataFrame]:
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
    hu[8:19, 8:19, 5:36] = brightness
    return Volume(hu, np.diag([3.0, 3.0, 3.0, 1.0])), pd.DataFrame(rows)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    make_samples(tmp_path / "samples", {"a": small_scan, "b": lambda: small_scan(300)}, seed=1)
    return tmp_path / "samples"


def files(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def test_samples_that_are_there_are_kept_and_half_made_ones_are_finished(samples: Path) -> None:
    before = files(samples)
    assert set(before) == {f"{name}.{kind}.npz" for name in "ab" for kind in KINDS}
    (samples / "b.look.npz").unlink()
    make_samples(samples, {"a": small_scan, "b": lambda: small_scan(300)}, seed=1)
    changed = {name for name, time in files(samples).items() if time != before[name]}
    assert changed == {f"b.{kind}.npz" for kind in KINDS}


def refused(reason: str) -> tuple[Volume, pd.DataFrame]:
    raise Refused(reason, "what is wrong")


def test_a_scan_that_teaches_nothing_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert make_samples(tmp_path, {"a": partial(refused, "nothing_to_learn"), "b": small_scan}, seed=1) == 1
    assert [file.name for file in sample_files(tmp_path, "look")] == ["b.look.npz"]
    assert "a is left out: nothing_to_learn: what is wrong" in caplog.text


def test_all_broken_annotations_are_told_of_at_once(tmp_path: Path) -> None:
    scans = {"a": partial(refused, "mask_other_grid"), "b": small_scan, "c": partial(refused, "points_unusable")}
    with pytest.raises(AnnotationError) as raised:
        make_samples(tmp_path, scans, seed=1)
    assert "correct the files" in str(raised.value)
    lines = ["a: mask_other_grid: what is wrong", "c: points_unusable: what is wrong"]
    assert str(raised.value).splitlines()[1:] == lines


def test_centroids_alone_without_a_scan_of_six_points_is_a_clear_error(tmp_path: Path) -> None:
    def centres_alone() -> tuple[Volume, pd.DataFrame]:
        volume, bodies = small_scan()
        return volume, bodies.assign(complete=False, **dict.fromkeys(POINT_COLUMNS, np.nan))

    make_samples(tmp_path / "samples", {"a": centres_alone}, seed=1)
    paths = [tmp_path / "centreline.safetensors", tmp_path / "vertebrae.safetensors"]
    with pytest.raises(ValueError, match="no sample has six points; learn from masks"):
        train.train_localizer(tmp_path / "samples", tmp_path / "state", *paths, STEPS, 3, "cpu", {})


def test_a_signal_stops_after_the_sample_and_the_next_call_goes_on(tmp_path: Path) -> None:
    def stopping() -> tuple[Volume, pd.DataFrame]:
        os.kill(os.getpid(), signal.SIGTERM)
        return small_scan()

    with pytest.raises(TrainingInterrupted):
        make_samples(tmp_path, {"a": stopping, "b": small_scan}, seed=1)
    assert [file.name for file in sample_files(tmp_path, "look")] == ["a.look.npz"]
    make_samples(tmp_path, {"a": stopping, "b": small_scan}, seed=1)
    assert len(sample_files(tmp_path, "look")) == 2


def test_a_training_writes_weights_that_load_and_come_again(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "DETECTOR_BATCH", 1)
    monkeypatch.setattr(train, "REFINER_BATCH", 2)

    def weights(name: str) -> list[bytes]:
        folder = tmp_path / name
        paths = [folder / "centreline.safetensors", folder / "vertebrae.safetensors"]
        metrics = train.train_localizer(samples, folder / "state", *paths, STEPS, 3, "cpu", {"seed": "3"})
        assert [metrics[f"{part}_steps"] for part in ("centreline", "refiner", "detector")] == [1, 1, 1]
        load_localizer(folder, "cpu")
        return [path.read_bytes() for path in paths]

    assert weights("first") == weights("second")


def test_no_samples_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no samples"):
        sample_files(tmp_path, "line")
