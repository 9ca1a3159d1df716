"""The canonical volume and its file."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.ct.volume import (
    OUTSIDE_HU,
    Volume,
    VolumeError,
    as_stored,
    in_filling,
    mm_to_voxel,
    read_volume,
    to_ras,
    voxel_to_mm,
    write_volume,
)

OBLIQUE = np.array(
    [[0.7, 0.0, 0.05, -30.0], [0.0, 0.9, 0.0, 12.0], [-0.05 * 0.7 / 1.5, 0.0, 1.5, -700.0], [0, 0, 0, 1]]
)


@pytest.fixture
def volume() -> Volume:
    return Volume(np.random.default_rng(1).integers(-1024, 3000, (5, 6, 7)).astype(np.int16), OBLIQUE)


def test_a_written_volume_reads_back(volume: Volume, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", volume)
    again = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.hu, volume.hu)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-4)
    assert (again.hu.dtype, again.affine.dtype) == (np.int16, np.float64)


def test_a_volume_in_memory_becomes_what_would_be_read_back(volume: Volume, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", volume)
    again, stored = read_volume(tmp_path / "a.nii.gz"), as_stored(volume)
    assert volume.affine.tobytes() != again.affine.tobytes() == stored.affine.tobytes()
    np.testing.assert_array_equal(stored.hu, again.hu)
    # Sums over several axes differ in their last digits with the order in memory.
    assert stored.hu.strides == again.hu.strides != volume.hu.strides


def test_the_same_volume_gives_the_same_bytes(volume: Volume, tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, volume)
    data = (tmp_path / "a.nii.gz").read_bytes()
    assert data == (tmp_path / "b.nii.gz").read_bytes()
    assert data[3:8] == bytes(5)  # gzip's flags (no file name) and time


def test_the_header_has_agreeing_forms_units_and_no_text(volume: Volume, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", volume)
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-3)
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert (header["descrip"].item(), header["aux_file"].item()) == (b"", b"")


def test_points_go_to_mm_and_back() -> None:
    points = np.random.default_rng(2).uniform(-5, 5, (4, 2, 3))
    np.testing.assert_allclose(mm_to_voxel(OBLIQUE, voxel_to_mm(OBLIQUE, points)), points, atol=1e-9)
    np.testing.assert_allclose(voxel_to_mm(OBLIQUE, np.array([0, 0, 0])), OBLIQUE[:3, 3])


def test_turning_to_ras_moves_no_voxel() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    pir = np.array([[0, 0, 2.0, 5], [-1.0, 0, 0, 6], [0, -3.0, 0, 7], [0, 0, 0, 1]])
    turned, affine = to_ras(array, pir)
    assert nib.aff2axcodes(affine) == ("R", "A", "S")
    there = np.rint(mm_to_voxel(affine, voxel_to_mm(pir, np.array([1, 2, 3])))).astype(int)
    assert turned[tuple(there)] == array[1, 2, 3]


def test_the_hash_ignores_memory_layout_and_affine_but_not_shape(volume: Volume) -> None:
    assert Volume(np.asfortranarray(volume.hu), np.eye(4)).sha256 == volume.sha256
    assert Volume(volume.hu.reshape(6, 5, 7, order="F"), OBLIQUE).sha256 != volume.sha256


def test_a_file_that_is_no_canonical_volume_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.diag([-1.0, 1, 1, 1])), tmp_path / "lps.nii.gz")
    with pytest.raises(VolumeError, match=r"lps\.nii\.gz.*RAS"):
        read_volume(tmp_path / "lps.nii.gz")


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3, 3), np.float32), np.zeros((3, 3, 3, 2), np.int16)], ids=["float", "4-D"]
)
def test_voxels_of_another_kind_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="3-D int16"):
        read_volume(tmp_path / "a.nii.gz")


class Looked:
    """A volume that counts its voxels that are looked at."""

    def __init__(self, hu: np.ndarray) -> None:
        self.hu, self.shape, self.count = hu, hu.shape, 0

    def __getitem__(self, at: tuple[np.ndarray, ...]) -> np.ndarray:
        self.count += at[0].size
        return np.asarray(self.hu[at])


def test_only_around_air_is_looked_for_a_filling() -> None:  # field test A8
    rng = np.random.default_rng(3)
    hu = rng.choice([-1024, -1000, 40], (9, 9, 5)).astype(np.int16)
    hu[:5, :5, :3], hu[5:, 5:] = -1024, 60
    points = rng.uniform(-3, 12, (40, 30, 3))
    wanted = []
    for i, j, k in np.rint(points.reshape(-1, 3)).astype(int).clip(0, [8, 8, 4]):
        beside = [hu[min(max(i + a, 0), 8), min(max(j + b, 0), 8), k] for a in (-1, 0, 1) for b in (-1, 0, 1)]
        wanted.append(beside[4] <= OUTSIDE_HU and len(set(beside)) == 1)
    looked = Looked(hu)
    found = in_filling(looked, points)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, np.reshape(wanted, (40, 30)))
    assert 0 < found.sum() < found.size
    inside = np.rint(points).astype(int).clip(0, [8, 8, 4])
    air = hu[tuple(np.moveaxis(inside, -1, 0))] <= OUTSIDE_HU
    assert looked.count <= points[..., 0].size + 8 * air.sum()
    assert bool(in_filling(hu, np.array([1.0, 1.0, 1.0])))
