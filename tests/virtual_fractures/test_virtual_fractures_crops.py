"""Crops of a vertebra that collapses in place: only the body changes, by the losses that are said."""

from functools import cache

import numpy as np
import pandas as pd

from helpers.landmarks import measure
from helpers.phantom_scan import scan
from vertegrade.localizer.networks import load_refiner
from vertegrade.localizer.refiner.in_crops import heights_in_images
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.crop import crop_scan, sample_crop
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import SHAPES, points_of
from vertegrade.virtual_fractures.body import real_bodies
from vertegrade.virtual_fractures.crops import CollapsedCrop, collapsed_crop, collapsed_crops

SETTINGS = CropSettings()


@cache
def frames() -> dict[int, np.ndarray]:
    volume, landmarks = scan()
    table, found = crop_scan(volume, landmarks, SETTINGS, 1.0)[::-1][:2]
    return {row.vertebra: found[row.crop] for row in table.itertuples() if row.evaluable}


def measurements() -> pd.DataFrame:
    return measure(scan()[1])


def made(most: int = 2, seed: int = 0, table: pd.DataFrame | None = None) -> list[CollapsedCrop]:
    volume, landmarks = scan()
    found = measurements().assign(height_loss=0.0) if table is None else table
    return collapsed_crops(np.random.default_rng(seed), volume, landmarks, found, frames(), SETTINGS, 1.0, most)


def test_without_a_collapse_the_crop_is_that_of_the_scan() -> None:
    volume, landmarks = scan()
    label = next(iter(frames()))
    same = collapsed_crop(volume, frames()[label], SETTINGS, real_bodies(landmarks), None)
    apart = np.abs(same.astype(int) - sample_crop(volume, frames()[label], SETTINGS)[0])
    assert np.mean(apart <= 2) > 0.999


def test_each_vertebra_is_there_intact_and_once_in_every_shape() -> None:
    crops = made(most=2)
    assert len({crop.vertebra for crop in crops}) == 2
    for label in {crop.vertebra for crop in crops}:
        assert [crop.shape for crop in crops if crop.vertebra == label] == ["", *SHAPES]
    assert all((crop.loss == 0).all() == (crop.shape == "") for crop in crops)
    again = made(most=2)
    assert all((a.pixels == b.pixels).all() for a, b in zip(crops, again, strict=True))


def test_only_vertebrae_that_are_measured_as_intact_collapse() -> None:
    table = measurements()
    labels = {crop.vertebra for crop in made(most=99, table=table)}
    assert labels
    assert labels <= set(table.loc[table["height_loss"] < 0.1, "vertebra"])
    assert made(most=99, table=table.assign(height_loss=0.15)) == []
    assert made(most=99, table=table.assign(evaluable=False)) == []


def test_nothing_but_the_body_and_its_discs_changes() -> None:
    crops = made(most=3)
    for intact, *collapsed in (crops[n : n + 4] for n in range(0, len(crops), 4)):
        for crop in collapsed:
            change = np.abs(crop.pixels.astype(int) - intact.pixels)[SETTINGS.slices // 2]
            rows = np.arange(SETTINGS.size)
            far = np.abs(rows - rows.mean()) * SETTINGS.pixel_mm > 22  # beyond the discs of a lumbar body
            assert change[~far].max() > 100
            assert np.median(change[far]) <= 1


def test_the_heights_in_the_crop_are_those_that_are_said() -> None:
    landmarks = scan()[1]
    refiner = load_refiner("models/localizer/vertebrae.safetensors", "cpu")
    crops = made(most=4, seed=3)
    shape = (SETTINGS.slices, SETTINGS.size, SETTINGS.size)
    six = dict(zip(landmarks["vertebra"], points_of(landmarks), strict=True))
    points = np.array(
        [
            mm_to_crop(six[crop.vertebra], frames()[crop.vertebra], shape, SETTINGS.pixel_mm, SETTINGS.slice_spacing_mm)
            for crop in crops
        ]
    )[..., 1:]
    slabs = np.array([crop.pixels.mean(axis=0) for crop in crops])
    heights = heights_in_images(slabs, points, SETTINGS.pixel_mm, refiner, "cpu").reshape(-1, 4, 3)
    losses = np.array([crop.loss for crop in crops]).reshape(-1, 4, 3)
    measured = 1 - heights[:, 1:] / heights[:, :1]
    assert np.median(np.abs(measured - losses[:, 1:])) < 0.06
    # Without the crushes: of a body that was low before, the refiner takes half of them for a lower disc.
    assert np.corrcoef(measured[:, :2].ravel(), losses[:, 1:3].ravel())[0, 1] > 0.9
