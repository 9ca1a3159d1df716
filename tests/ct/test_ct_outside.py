"""Scans that were windowed, clipped or filled: refused, or put right and flagged; real ones stay as they are."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from helpers.bad_inputs import InShard
from helpers.lidc import lidc_folder
from helpers.series import write_series
from helpers.shared import SHARED
from vertegrade.ct import outside
from vertegrade.ct.volume import read_volume
from vertegrade.reasons import Notes

AFFINE = np.diag([1.0, 1.0, 1.5, 1.0])
Change = Callable[[np.ndarray], np.ndarray]


def trunk(seed: int = 0) -> np.ndarray:
    """HU (48, 48, 30) in RAS: an elliptic body with fat, soft tissue and bones in air, with noise of 20 HU."""
    rng = np.random.default_rng(seed)
    x, y = np.indices((48, 48)) - 23.5
    within = np.hypot(x / 22, y / 19)
    plane = np.select([within > 1, within > 0.85, np.hypot(x, y + 8) < 6], [-1000, -100, 300], 45)
    hu = np.repeat(plane[:, :, None], 30, axis=2) + rng.normal(0, 20, (48, 48, 30))
    hu[20:28, 10:20, 4::6] = rng.normal(1150, 60, hu[20:28, 10:20, 4::6].shape)
    return np.rint(hu).clip(-1024)


def save(folder: Path, hu: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(hu.astype(np.int16), AFFINE), folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def windowed(hu: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(hu, -160, 240) + 160) / 400 * 255)


SPOILT: dict[str, Change] = {
    "a window in 8 bits": windowed,
    "all in 8 bits": lambda hu: np.rint((hu + 1024) / 2600 * 250 + 3),
    "a window in 8 bits, white on black": lambda hu: 255 - windowed(hu),
    "clipped to soft tissue": lambda hu: np.clip(hu, -160, 240),
    "clipped from below": lambda hu: np.clip(hu, -160, None),
    "clipped from above": lambda hu: np.clip(hu, None, 400),
    "clipped, then padded": lambda hu: np.where(np.arange(30) < 5, -1024, np.clip(hu, -160, 240)),
    "nothing below 0": lambda hu: np.clip(hu, 0, None),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
@pytest.mark.parametrize("kind", ["NIfTI", "DICOM"])
def test_a_windowed_or_clipped_scan_is_refused(  # field test A8
    kind: str, spoil: Change, tmp_path: Path, in_shard: InShard
) -> None:
    hu = spoil(trunk())
    state = in_shard(save(tmp_path, hu) if kind == "NIfTI" else write_series(tmp_path / "in", hu.T))
    assert (state["state"], state["reason"]) == ("excluded", "clipped_hu")
    assert "give the CT itself, with all its Hounsfield units" in state["message"]


def empty_below(hu: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.arange(30) < 6, hu.shape)


def round_field(hu: np.ndarray) -> np.ndarray:
    x, y = np.indices((48, 48)) - 23.5
    return np.broadcast_to((np.hypot(x, y) > 20)[:, :, None], hu.shape)


FILLED: dict[str, tuple[Change, float]] = {
    "a crop that was cut above its end": (empty_below, 0),
    "a round field of view": (round_field, 0),
    "air": (lambda hu: hu < -500, 0),
    "another value than 0": (empty_below, -500),
    "a value within bone": (empty_below, 300),
    "clipped below fat": (lambda hu: hu < -250, -250),
}


@pytest.mark.parametrize(("where", "value"), FILLED.values(), ids=FILLED.keys())
def test_what_was_filled_in_becomes_outside(  # field test A8
    where: Change, value: float, tmp_path: Path, in_shard: InShard
) -> None:
    good = trunk()
    gone = where(good)
    state = in_shard(save(tmp_path, np.where(gone, value, good)))
    assert (state["state"], state["flags"]) == ("done", "filled")
    assert f"filled with {value:g} HU, taken as outside" in state["warnings"]
    hu = read_volume(tmp_path / "shard" / "scan-1_ct.nii.gz").hu
    assert (hu[gone] == -1024).mean() > 0.9  # corners narrower than the square stay
    assert (hu == good)[~gone].mean() > 0.999


@pytest.mark.parametrize("low", [-1024, -1000, -950])
def test_air_that_is_all_alike_is_air(low: int, tmp_path: Path, in_shard: InShard) -> None:
    hu = trunk()
    hu = np.where(hu < -500, low, hu)
    state = in_shard(save(tmp_path, hu))
    assert (state["state"], state["flags"]) == ("done", "")
    assert (read_volume(tmp_path / "shard" / "scan-1_ct.nii.gz").hu == hu).all()


def test_metal_that_was_cut_off_is_flagged(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(save(tmp_path, np.clip(trunk(), None, 1150)))
    assert (state["state"], state["flags"]) == ("done", "clipped")


def test_the_same_value_in_a_quantised_image_is_no_filling(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(save(tmp_path, np.rint(trunk() / 40) * 40))
    assert (state["state"], state["flags"]) == ("done", "")


@pytest.mark.parametrize("kind", ["NIfTI", "DICOM"])
def test_a_few_voxels_brighter_than_int16_are_cut_off_and_told(  # field test B4
    kind: str, tmp_path: Path, in_shard: InShard
) -> None:
    hu = trunk()
    hu[24, 20, 10:13] = [40000, 33000, 32768]

    def scale(dataset: Dataset, index: int) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
        dataset.PixelData = (hu.T[index] + 1024).astype("<u4").tobytes()

    if kind == "NIfTI":
        path = tmp_path / "scan.nii.gz"
        nib.save(nib.Nifti1Image(hu.astype(np.float32), AFFINE), path)
    else:
        path = write_series(tmp_path / "in", hu.T, change=scale)
    state = in_shard(path)
    assert (state["state"], state["flags"]) == ("done", "clipped")
    assert "3 voxel(s) above 32767 HU cut off there" in state["warnings"]
    assert read_volume(tmp_path / "shard" / "scan-1_ct.nii.gz").hu.max() == 32767


def test_many_voxels_brighter_than_int16_are_no_hu(tmp_path: Path, in_shard: InShard) -> None:
    nib.save(nib.Nifti1Image((trunk() * 50 + 60000).astype(np.float32), AFFINE), tmp_path / "scan.nii.gz")
    state = in_shard(tmp_path / "scan.nii.gz")
    assert state["reason"] == "hu_out_of_range"
    assert "check RescaleSlope and RescaleIntercept, or scl_slope" in state["message"]


def real_scans() -> list[Path]:
    names = ["verse014/sub-verse014_ct.nii.gz", "totalsegmentator_example/example_ct.nii.gz"]
    lidc = lidc_folder()
    shared = [SHARED / name for name in names] + sorted((SHARED / "unlabelled").glob("*_ct.nii.gz"))
    return [path for path in shared if path.is_file()] + ([lidc / "cxr.nii.gz", lidc / "dicom"] if lidc else [])


@pytest.mark.shared
@pytest.mark.skipif(not real_scans(), reason=f"neither {SHARED} nor LIDC-IDRI-0001 is here")
def test_real_scans_are_neither_clipped_nor_filled(tmp_path: Path, in_shard: InShard) -> None:  # field test A8
    for path in real_scans():
        state = in_shard(path)
        assert state["state"] == "done", state
        assert "filled" not in state["flags"].split()


@pytest.mark.shared
@pytest.mark.skipif(not real_scans(), reason=f"neither {SHARED} nor LIDC-IDRI-0001 is here")
def test_spoilt_real_scans_are_seen(tmp_path: Path, in_shard: InShard) -> None:  # field test A8
    for path in real_scans()[:5]:
        image = nib.load(path)
        hu = np.asanyarray(image.dataobj).astype(np.float32)
        for name, spoilt in (
            ("window", windowed(hu)),
            ("clipped", np.clip(hu, -160, 240)),
            ("turned", ndimage.rotate(hu, 8, (0, 1), order=1, cval=0)),
        ):
            nib.save(nib.Nifti1Image(spoilt.astype(np.int16), image.affine), tmp_path / "scan.nii.gz")
            state = in_shard(tmp_path / "scan.nii.gz")
            told = "filled" in state["flags"].split() if name == "turned" else state["reason"] == "clipped_hu"
            assert told, (path, name, state)


def rescaled(hu: np.ndarray) -> np.ndarray:
    """What a slope of 0.7 leaves after rounding: values that two stored ones share, between values of one."""
    return (np.rint((hu + 1024) / 0.7) * 0.7 - 1024).round().astype(np.int16)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_comb_of_spikes_costs_no_more_than_the_fillings(
    seed: int, axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # field test A8
    rng = np.random.default_rng(seed)
    hu = rescaled(trunk(seed))
    hu[:, :9, :6] = 40
    hu[30:, 30:, 20:] = rng.choice([0, 40], (18, 18, 10), p=[0.02, 0.98])
    size = np.where(np.arange(3) == axis, 1, 5).tolist()
    middles = ndimage.minimum_filter((hu == 40).view(np.uint8), size, mode="nearest")
    filled = (hu == 40) & ndimage.maximum_filter(middles, size, mode="nearest").view(bool)
    assert filled.any()
    wanted = np.where(filled, -1024, hu)
    voxels: list[int] = []
    filtered = outside.ndimage.maximum_filter

    def counted(array: np.ndarray, *args: object, **more: object) -> np.ndarray:
        voxels.append(array.size)
        return filtered(array, *args, **more)

    monkeypatch.setattr(outside.ndimage, "maximum_filter", counted)
    monkeypatch.setattr(outside, "LEAST_MM3", 0.0)
    notes = Notes()
    outside.fill_outside(hu, axis, 1.0, notes)
    np.testing.assert_array_equal(hu, wanted)
    assert notes.flags == {"filled"}
    assert sum(voxels) <= 3 * hu.size
