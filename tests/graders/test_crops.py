"""Crops of several shards as one sequence, which stay on disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.dae_job import training_job
from helpers.tiny_dae import pixels
from vertegrade.graders.crops import Crops
from vertegrade.graders.taught import crops_of_split
from vertegrade.tables import PATIENT_SPLITS, read_table


def test_positions_count_over_the_shards() -> None:
    all_of_them = pixels()
    crops = Crops([all_of_them[:3], all_of_them[:0], all_of_them[3:]], [np.array([2, 0]), np.arange(0), np.arange(9)])
    assert (len(crops), crops.shape) == (11, (3, 16, 16))
    np.testing.assert_array_equal(crops.take(np.arange(11)), all_of_them[[2, 0, *range(3, 12)]])
    np.testing.assert_array_equal(crops.take(np.array([10, 0])), all_of_them[[11, 2]])


def test_the_hash_is_of_the_values_whatever_the_shards() -> None:
    all_of_them = pixels()
    wanted = Crops([all_of_them]).sha256()
    assert Crops([all_of_them[:5], all_of_them[5:]]).sha256() == wanted
    assert Crops([all_of_them], [np.arange(12)[::-1]]).sha256() != wanted


def test_no_row_is_no_crop_but_its_shape_is_known() -> None:
    crops = Crops([pixels()], [np.arange(0)])
    assert (len(crops), crops.shape) == (0, (3, 16, 16))
    assert crops.take(np.arange(0)).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("arrays", [[], [pixels(), pixels()[:, :1]], [pixels().astype(np.float32)], [pixels()[0]]])
def test_arrays_that_do_not_fit_are_refused(arrays: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="int16 crops"):
        Crops(arrays)


def test_a_split_has_the_evaluable_crops_of_its_patients(tmp_path: Path) -> None:
    job = training_job(tmp_path)
    table = pd.read_parquet(job.crops[0])
    table.loc[4, ["evaluable", "reason"]] = [False, "outside_scan"]
    table.to_parquet(job.crops[0])
    splits = read_table(job.splits, PATIENT_SPLITS)
    crops, patients = crops_of_split(job.crops, job.pixels, splits, "train")
    assert patients == {"P0", "P1"}
    np.testing.assert_array_equal(crops.take(np.arange(len(crops))), np.delete(pixels()[:10], 4, axis=0))
    assert all(isinstance(array, np.memmap) for array, _ in crops._parts)


def test_a_crop_is_found_by_its_place_in_the_array_not_in_the_table(tmp_path: Path) -> None:
    job = training_job(tmp_path)
    table = pd.read_parquet(job.crops[0]).iloc[::-1]
    table.to_parquet(job.crops[0])
    crops, _ = crops_of_split(job.crops, job.pixels, read_table(job.splits, PATIENT_SPLITS), "test")
    np.testing.assert_array_equal(crops.take(np.arange(2)), pixels()[[11, 10]])
