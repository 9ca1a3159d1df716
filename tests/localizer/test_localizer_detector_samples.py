"""Views for training: what is true of them must lie where they show it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.spines import normal_spine
from vertegrade.localizer.detector import samples as detector_samples
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.localizer.detector.samples import (
    COLUMN,
    KEYPOINTS,
    LATERAL,
    LEVEL,
    PRESENT,
    ROW,
    ROWS,
    SpineSample,
    detector_batch,
    strayed_line,
)
from vertegrade.localizer.image_augmentation import affine, moved, varied
from vertegrade.localizer.refiner import samples as refiner_samples
from vertegrade.localizer.refiner.look import LOOK
from vertegrade.localizer.refiner.samples import LookSamples, look_view
from vertegrade.localizer.sample_file import load_sample, save_sample
from vertegrade.localizer.straight_image import windowed

CENTRES = np.array([[6, row, 60] for row in range(100, 400, 30)], np.float32)


def dots(shape: tuple[int, ...], places: np.ndarray) -> np.ndarray:
    """Soft blobs of 900 HU on -250 HU at (slice, row, column)."""
    rows, columns = np.arange(shape[1])[:, None], np.arange(shape[2])
    hu = np.full(shape, -250.0)
    for place in places:
        blob = 1150 * np.exp(-((rows - place[1]) ** 2 + (columns - place[2]) ** 2) / 18)
        hu[round(float(place[0]))] = np.maximum(hu[round(float(place[0]))], blob - 250)
    return hu.astype(np.int16)


@pytest.fixture(scope="module")
def sample() -> SpineSample:
    points = CENTRES[:, None] + np.array([[0, r, c] for c in (-14, 0, 14) for r in (-10, 10)], np.float32)
    pixels = dots((9, 480, 144), CENTRES)
    labels = np.arange(10, 20)
    return SpineSample(pixels, np.ones((480, 144), bool), CENTRES, points, labels)


def brightest_near(image: torch.Tensor, row: float, column: float) -> tuple[float, float]:
    """Middle of brightness within 9 pixels of a place."""
    r, c = torch.meshgrid(torch.arange(image.shape[0]), torch.arange(image.shape[1]), indexing="ij")
    light = (image + 1) * (((r - row) ** 2 + (c - column) ** 2) < 81)
    return float((light * r).sum() / light.sum()), float((light * c).sum() / light.sum())


def test_a_view_shows_the_centres_where_its_table_has_them(
    sample: SpineSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_samples, "varied", lambda hu, rng: windowed(hu))
    for seed in range(4):
        image, table = detector_samples.view(sample, np.random.default_rng(seed))
        inside = [row for row in table if row[PRESENT] and 12 < row[ROW] < ROWS - 12]
        assert len(inside) >= 5
        for row in inside:
            shown = image[4 + round(float(row[LATERAL]) / 6)]
            assert brightest_near(shown, float(row[ROW]), float(row[COLUMN])) == pytest.approx(
                (float(row[ROW]), float(row[COLUMN])), abs=0.7
            )
            middle = row[KEYPOINTS:].reshape(6, 2).mean(dim=0)
            np.testing.assert_allclose(middle, row[[ROW, COLUMN]], atol=0.01)


def test_a_view_names_the_levels_and_mirrors_sides(sample: SpineSample) -> None:
    tables = [detector_samples.view(sample, np.random.default_rng(seed))[1] for seed in range(12)]
    named = {NETWORK_LEVELS[int(row[LEVEL])] for table in tables for row in table if row[PRESENT]}
    assert named <= set(range(10, 20))
    sides = {float(row[LATERAL]) for table in tables for row in table if row[PRESENT]}
    assert sides == {-12.0, 12.0}


def test_a_batch_follows_from_seed_and_step(sample: SpineSample) -> None:
    first, again, other = (detector_batch([sample], 2, 3, step) for step in (5, 5, 6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_a_look_shows_its_points_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refiner_samples, "varied", lambda hu, rng: windowed(hu))
    points = np.array([[3, r, c] for c in (30, 48, 66) for r in (36, 60)], np.float32)
    for seed in range(4):
        image, found = look_view(dots((7, 96, 96), points), points, np.random.default_rng(seed))
        pixels = found / LOOK.pixel_mm + 31.5
        for _, row, column in pixels.tolist():
            if 9 < row < 54 and 9 < column < 54:
                assert brightest_near(image[3], row, column) == pytest.approx((row, column), abs=0.7)


def test_varied_images_stay_in_range_and_keep_what_is_outside_dark() -> None:
    hu = torch.full((9, 64, 64), -1024.0)
    hu[:, 20:40] = 300
    for seed in range(6):
        x = varied(hu, np.random.default_rng(seed))
        assert x.shape == hu.shape
        assert float(x.abs().max()) <= 1.0
        assert float(x[:, 28:32].mean()) > float(x[:, :8].mean())


def test_affine_and_moved_agree() -> None:
    image = torch.from_numpy(dots((1, 80, 80), np.array([[0, 50, 33]])).astype(np.float32))
    matrix, middle = np.array([[0.9, 0.2], [-0.1, 1.1]]), np.array([42.0, 38.0])
    there = moved(np.array([0.0, 50, 33]), matrix, middle, 64, 60)
    shown = affine(image, matrix, middle, 64, 60)
    assert brightest_near(windowed(shown[0]), there[1], there[2]) == pytest.approx((there[1], there[2]), abs=0.5)


def test_the_strayed_line_stays_near_the_bodies() -> None:
    centres = normal_spine(scoliosis=20.0)
    for seed in range(5):
        line = strayed_line(centres, np.random.default_rng(seed))
        off = np.linalg.norm(line.at(line.nearest(centres))[0] - centres, axis=1)
        assert 0.1 < off.max() < 10


def test_samples_come_back_from_disk(sample: SpineSample, tmp_path: Path) -> None:
    save_sample(tmp_path / "a.npz", sample)
    back = load_sample(tmp_path / "a.npz", SpineSample)
    for name, value in vars(sample).items():
        np.testing.assert_array_equal(getattr(back, name), value)
    looks = LookSamples(np.ones((2, 7, 96, 96), np.int16), np.ones((2, 6, 3), np.float32))
    save_sample(tmp_path / "b.npz", looks)
    np.testing.assert_array_equal(load_sample(tmp_path / "b.npz", LookSamples).points, looks.points)
