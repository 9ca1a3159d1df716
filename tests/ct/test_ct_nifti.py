"""NIfTI input, VerSe's orientation among it."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.nifti import PIR, write_nifti
from helpers.series import body_hu, convert, converted_volume
from vertegrade.ct import nifti_file
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.ct.volume import mm_to_voxel, voxel_to_mm
from vertegrade.index.headers import nifti_header


def test_verse_orientation_keeps_every_voxel_at_its_place(tmp_path: Path) -> None:
    hu = body_hu(13, 12, 11)
    volume = converted_volume(write_nifti(tmp_path / "a.nii.gz", hu.astype(np.int16)), tmp_path)
    voxels = np.argwhere(np.ones(hu.shape, bool))
    there = mm_to_voxel(volume.affine, voxel_to_mm(PIR, voxels))
    assert np.abs(there - np.rint(there)).max() < 1e-3
    np.testing.assert_array_equal(volume.hu[tuple(np.rint(there).astype(int).T)], hu.ravel())


def test_the_row_knows_slices_spacing_and_pixel(tmp_path: Path) -> None:
    hu = body_hu(20, 22, 12).astype(np.int16)
    row = convert(write_nifti(tmp_path / "a.nii", hu), tmp_path)
    assert (row["slices"], row["slice_spacing_mm"]) == (12, pytest.approx(2.0))
    assert row["pixel_mm"] == pytest.approx(0.7)
    assert np.isnan(row["slice_thickness_mm"])


def test_scaling_of_the_header_is_exact(tmp_path: Path) -> None:
    hu = body_hu(12, 12, 12)
    path = write_nifti(tmp_path / "a.nii", ((hu + 1024) * 2).astype(np.int16))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, -1024], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(data)
    np.testing.assert_array_equal(np.sort(converted_volume(path, tmp_path).hu.ravel()), np.sort(hu.ravel()))


def test_floats_are_rounded_and_told(tmp_path: Path) -> None:
    hu = body_hu(12, 12, 12)
    row = convert(write_nifti(tmp_path / "a.nii", (hu + 0.25).astype(np.float32)), tmp_path)
    assert row["warnings"] == "fractions of a HU rounded"
    assert converted_volume(tmp_path / "a.nii", tmp_path).hu.sum() == hu.sum()


def test_one_volume_in_four_dimensions_is_accepted(tmp_path: Path) -> None:
    hu = body_hu(12, 12, 12).astype(np.int16)[..., None]
    assert converted_volume(write_nifti(tmp_path / "a.nii", hu), tmp_path).hu.ndim == 3


def _nan() -> np.ndarray:
    data = body_hu(12, 12, 12).astype(np.float32)
    data[3, 3, 3] = np.nan
    return data


HU = body_hu(12, 12, 12).astype(np.int16)
SHEARED = PIR + np.array([[0.1, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4])
SINGULAR = np.array([[0, 0, 2.0, 0], [-0.7, -0.7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
FAULTS = {
    "NaN": ({"data": _nan()}, "not_finite"),
    "4-D": ({"data": np.stack([HU, HU], axis=3)}, "not_3d"),
    "2-D": ({"data": HU[:, :, 0]}, "not_3d"),
    "complex": ({"data": HU.astype(np.complex64)}, "not_3d"),
    "identity affine": ({"data": HU, "affine": np.eye(4)}, "no_orientation"),
    "no form code": ({"data": HU, "codes": (0, 0)}, "no_orientation"),
    "sheared": ({"data": HU, "affine": SHEARED, "codes": (0, 1)}, "gantry_tilt"),
    "metres": ({"data": HU, "affine": PIR * [[0.001], [0.001], [0.001], [1]]}, "bad_affine"),
    "micrometres": ({"data": HU, "affine": PIR * [[1000], [1000], [1000], [1]]}, "bad_affine"),
    "few slices": ({"data": HU[:, :, :5]}, "too_few_slices"),
    "thick": ({"data": HU, "affine": PIR * [1, 1, 4, 1]}, "thick_slices"),
    "mask": ({"data": (HU > 0).astype(np.uint8)}, "implausible_hu"),
}


@pytest.mark.parametrize(("image", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_the_image(image: dict, reason: str, tmp_path: Path) -> None:
    row = convert(write_nifti(tmp_path / "a.nii.gz", **image), tmp_path)
    assert row["reason"] == reason
    assert str(tmp_path / "a.nii.gz") in row["message"]


@pytest.mark.parametrize("affine", [SINGULAR, PIR * np.nan], ids=["singular", "NaN"])
def test_an_affine_that_is_none(affine: np.ndarray, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", HU)
    data = bytearray(path.read_bytes())
    data[280:328] = affine[:3].astype("<f4").tobytes()  # srow_x, srow_y, srow_z
    path.write_bytes(data)
    assert convert(path, tmp_path)["reason"] == "bad_affine"


def test_forms_that_disagree(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU, None)
    image.set_sform(PIR, 1)
    image.set_qform(PIR * [1, 1, -1, 1], 1)
    image.to_filename(tmp_path / "a.nii")
    assert convert(tmp_path / "a.nii", tmp_path)["reason"] == "conflicting_orientation"


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", HU)
    path.write_bytes(path.read_bytes()[:-500])
    assert convert(path, tmp_path)["reason"] == "broken_file"


@pytest.mark.parametrize(
    "data",
    [b"", b"not a NIfTI" * 100, gzip.compress(bytes(1000))],
    ids=["empty", "text", "gzip"],  # a gzip names its second: the workers would collect other tests
)
def test_a_file_that_is_no_nifti(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(data)
    assert convert(tmp_path / "a.nii.gz", tmp_path)["reason"] == "broken_file"


def test_a_size_that_lies_is_refused_before_reading(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", HU)
    data = bytearray(path.read_bytes())
    data[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()  # dim
    path.write_bytes(data)
    assert convert(path, tmp_path)["reason"] == "too_large"


def test_a_surface_file_that_is_named_like_a_nifti(tmp_path: Path) -> None:
    axes = (nib.cifti2.ScalarAxis(["a", "b"]), nib.cifti2.SeriesAxis(0, 1, 3))
    nib.Cifti2Image(np.zeros((2, 3), np.float32), axes).to_filename(tmp_path / "a.nii")
    assert convert(tmp_path / "a.nii", tmp_path)["reason"] == "broken_file"


@pytest.mark.parametrize("offset", ["nan", "inf"])
def test_voxels_that_begin_nowhere(offset: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", HU)
    data = bytearray(path.read_bytes())
    data[108:112] = np.float32(offset).tobytes()
    path.write_bytes(data)
    assert convert(path, tmp_path)["reason"] == "broken_file"


def test_voxels_that_are_not_those_of_the_checksum_are_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", HU)
    assert convert(path, tmp_path)["state"] == "done"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # of the CRC: nothing else differs when a voxel does
    path.write_bytes(data)
    assert convert(path, tmp_path)["reason"] == "broken_file"


@pytest.mark.parametrize(
    ("name", "packed"), [("a.nii.gz", False), ("a.nii", True), ("a.NII.GZ", True), ("a.Nii", False)]
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_nifti_is_read_whatever_it_is_called(  # field test B4
    name: str, packed: bool, kind: type[nib.Nifti1Image], tmp_path: Path
) -> None:
    data = kind(HU.astype(np.int16), PIR).to_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    plain = tmp_path / "plain.nii"
    plain.write_bytes(data)
    assert convert(tmp_path / name, tmp_path)["image_sha256"] == convert(plain, tmp_path)["image_sha256"] != ""
    header, good = nifti_header(tmp_path / name), nifti_header(plain)
    assert header is not None
    assert good is not None
    assert header[:2] == good[:2]
    assert NIFTI_NAME.search(name)


@pytest.mark.parametrize("content", [b"", b"abc", b"x" * 400, gzip.compress(b"x" * 10)])
def test_what_is_no_nifti_under_a_nifti_s_name_is_broken(content: bytes, tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz", "a.NII.GZ"):
        (tmp_path / name).write_bytes(content)
        assert convert(tmp_path / name, tmp_path)["reason"] == "broken_file"
        assert nifti_header(tmp_path / name) is None


@pytest.mark.parametrize("content", [b"abc", b"x" * 1000, gzip.compress(b"abc"), gzip.compress(b"x" * 1000)[:20]])
def test_what_cannot_be_loaded_is_closed_again(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # field test B4
    path = tmp_path / "scan.NII"
    path.write_bytes(content)
    opened = []
    unpacked = nifti_file.open_unpacked
    monkeypatch.setattr(nifti_file, "open_unpacked", lambda file: opened.append(unpacked(file)) or opened[-1])
    with pytest.raises((nifti_file.ImageFileError, nib.spatialimages.HeaderDataError)):
        nifti_file.load_nifti(path)
    assert [stream.closed for stream in opened] == [True]
