"""Good but odd series: every voxel at its place (0.01 mm) with its exact HU, whatever the encoding."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from helpers.compressed import HT_STORED, LOSSLESS, compress
from helpers.enhanced import write_enhanced
from helpers.series import (
    AXIAL,
    ORIENTATIONS,
    assert_same_place,
    body_hu,
    convert,
    converted_volume,
    positions,
    write_series,
)
from vertegrade.ct.volume import read_volume

SIGNED = [syntax for syntax in LOSSLESS if not syntax.name.startswith("High-Throughput")]  # HT_STREAM is unsigned


@pytest.mark.parametrize(
    ("syntax", "signed"),
    [(syntax, False) for syntax in LOSSLESS] + [(syntax, True) for syntax in SIGNED],
    ids=lambda value: value.name if isinstance(value, str) else "signed" if value else "unsigned",
)
def test_every_lossless_syntax_is_exact(syntax: str, signed: bool, tmp_path: Path) -> None:
    def sign(dataset: Dataset, index: int) -> None:
        if signed:
            dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
            dataset.PixelData = hu[index].astype("<i2").tobytes()

    hu = np.repeat((HT_STORED.astype(int) - 1024)[None], 12, axis=0)
    folder = write_series(tmp_path / "in", hu, change=sign)
    for file in folder.iterdir():
        compress(file, syntax)
        assert pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))
    assert convert(folder, tmp_path)["flags"] == ""


@pytest.mark.parametrize("syntax", [JPEGLSNearLossless, JPEG2000], ids=lambda uid: uid.name)
def test_lossy_syntaxes_are_read_and_flagged(syntax: str, tmp_path: Path) -> None:
    hu = np.repeat((np.arange(32)[:, None] * 20 + np.arange(32) * 10 - 1000)[None], 12, axis=0)

    def lossy(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        if syntax == JPEG2000:
            dataset.compress(syntax, j2k_cr=[4], generate_instance_uid=False)
            dataset.LossyImageCompression = "01"  # the syntax alone does not tell
        elif syntax == JPEGLSNearLossless:
            dataset.compress(syntax, jls_error=3, generate_instance_uid=False)

    folder = write_series(tmp_path / "in", hu, change=lossy)
    row = convert(folder, tmp_path)
    assert (row["state"], row["flags"]) == ("done", "lossy")
    found = read_volume(tmp_path / "scan-1_ct.nii.gz").hu[::-1, ::-1].T
    assert 0 < np.abs(found - hu).max() < 60


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit], ids=lambda uid: uid.name)
def test_jpeg_of_8_bits(syntax: str, tmp_path: Path) -> None:
    hu = np.repeat((np.arange(32)[:, None] * 32 + np.arange(32) * 16 - 1024)[None], 12, axis=0)

    def eight(dataset: Dataset, index: int) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.RescaleSlope = "8"
        dataset.PixelData = ((hu[index] + 1024) // 8).astype("u1").tobytes()

    folder = write_series(tmp_path / "in", hu, change=eight)
    for file in folder.iterdir():
        compress(file, syntax)
    row = convert(folder, tmp_path)
    assert (row["state"], row["flags"]) == ("done", "lossy")
    found = read_volume(tmp_path / "scan-1_ct.nii.gz").hu[::-1, ::-1].T
    assert np.abs(found - hu).max() < 60


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "FFP", "HFDR", "HFDL"])
def test_the_patients_position_is_told_and_changes_nothing(position: str, tmp_path: Path) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.PatientPosition = position

    hu = body_hu()
    assert_same_place(
        converted_volume(write_series(tmp_path / "in", hu, change=change), tmp_path), hu, positions(len(hu))
    )
    assert f'"PatientPosition": "{position}"' in (tmp_path / "scan-1_ct.json").read_text()


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["along x", "along y", "along z"])
def test_jitter_of_a_hundredth_of_a_millimetre(axis: int, tmp_path: Path) -> None:
    hu = body_hu(20)
    places = positions(len(hu), step=0.6)
    places[1:-1, axis] += np.random.default_rng(1).choice([-0.005, 0.005], len(hu) - 2)
    assert_same_place(converted_volume(write_series(tmp_path / "in", hu, places), tmp_path), hu, places)


@pytest.mark.parametrize("orientation", ["axial", "feet first, normal towards the feet", "sagittal", "coronal"])
def test_enhanced_ct_in_every_orientation(orientation: str, tmp_path: Path) -> None:
    hu, direction = body_hu(), ORIENTATIONS[orientation]
    folder = write_enhanced(tmp_path / "in", hu, orientation=direction)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu), direction), direction)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless], ids=["plain", "RLE", "JPEG 2000"])
def test_enhanced_ct_shuffled_with_a_slope_for_each_frame(syntax: str | None, tmp_path: Path) -> None:
    order = np.random.default_rng(2).permutation(12)
    hu = body_hu(rows=32, columns=32) // 2 * 2
    slopes = (order % 2 + 1).tolist()
    folder = write_enhanced(tmp_path / "in", hu[order], places=positions(12)[order], slopes=slopes, syntax=syntax)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(12))


def test_enhanced_ct_in_several_files_and_its_sidecar(tmp_path: Path) -> None:
    hu, places = body_hu(24), positions(24)
    write_enhanced(tmp_path / "in/b", hu[:12], LegacyConvertedEnhancedCTImageStorage, places[:12], AXIAL)
    write_enhanced(tmp_path / "in/a", hu[12:], LegacyConvertedEnhancedCTImageStorage, places[12:], AXIAL)
    assert_same_place(converted_volume(tmp_path / "in", tmp_path), hu, places)
    row = convert(tmp_path / "in", tmp_path)
    assert (row["slices"], row["kernel"], row["slice_thickness_mm"]) == (24, "Br38f", 1.5)
    assert '"KVP": 120.0' in (tmp_path / "scan-1_ct.json").read_text()
