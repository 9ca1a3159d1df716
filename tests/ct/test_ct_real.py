"""Real CT: LIDC-IDRI-0001 (`python tests/helpers/lidc.py` fetches it) and the scans of ../shared."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.lidc import lidc_folder
from helpers.series import convert
from helpers.shared import SHARED, needs_shared
from vertegrade.ct.volume import mm_to_voxel, read_volume, voxel_to_mm


@pytest.mark.skipif(lidc_folder() is None, reason="LIDC-IDRI-0001 is absent; run `python tests/helpers/lidc.py`")
def test_lidc_dicom_equals_the_published_nifti(tmp_path: Path) -> None:
    folder = lidc_folder()
    assert folder is not None
    row = convert(folder / "dicom", tmp_path)
    assert (row["state"], row["warnings"]) == ("done", "")
    assert (row["slices"], row["slice_spacing_mm"], row["pixel_mm"]) == (133, 2.5, 0.703125)
    volume = read_volume(tmp_path / "scan-1_ct.nii.gz")
    other = nib.as_closest_canonical(nib.load(folder / "cxr.nii.gz"))
    np.testing.assert_allclose(volume.affine, other.affine, atol=1e-3)
    np.testing.assert_array_equal(volume.hu, np.asarray(other.dataobj))


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("name", ["verse014/sub-verse014_ct.nii.gz", "totalsegmentator_example/example_ct.nii.gz"])
def test_real_nifti_keeps_hu_and_places(name: str, tmp_path: Path) -> None:
    assert convert(SHARED / name, tmp_path)["state"] == "done"
    volume = read_volume(tmp_path / "scan-1_ct.nii.gz")
    source = nib.load(SHARED / name)
    voxels = np.random.default_rng(0).integers(0, source.shape, (200, 3))
    there = mm_to_voxel(volume.affine, voxel_to_mm(source.affine, voxels))
    nearest = np.rint(there).astype(int)
    assert np.abs((there - nearest) * volume.spacing_mm).max() < 0.01
    np.testing.assert_array_equal(volume.hu[tuple(nearest.T)], np.asarray(source.dataobj)[tuple(voxels.T)])


@needs_shared
@pytest.mark.shared
def test_real_jpeg_2000_slices_convert(tmp_path: Path) -> None:
    row = convert(SHARED / "totalsegmentator_example" / "dicom_jpeg2000.zip", tmp_path)
    assert (row["state"], row["slices"], row["slice_spacing_mm"]) == ("done", 20, 2.0)


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("irregular_spacing.zip", "missing_slices", "uneven spacing: 1.6 mm instead of 0.8 mm"),
        ("gantry_tilt.zip", "gantry_tilt", "18.5 degrees"),
    ],
)
def test_real_series_that_are_no_even_stack_are_refused(name: str, reason: str, text: str, tmp_path: Path) -> None:
    row = convert(SHARED / name, tmp_path)
    assert row["reason"] == reason
    assert text in row["message"]
