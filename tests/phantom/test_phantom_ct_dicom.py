"""DICOM writing: exact HU, positions, validity, determinism, for each scanner and transfer syntax."""

import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from helpers.phantom_protocols import every_hu, protocol
from vertegrade.files import sha256_of
from vertegrade.phantom.scanner.dicom import Subject, outside_circle, write_series
from vertegrade.phantom.scanner.protocol import COMPRESSED, EXPLICIT_LITTLE_ENDIAN, Protocol
from vertegrade.phantom.scanner.vendors import SCANNERS

SUBJECT = Subject("ph0001", 71, "F")
EACH_SCANNER = pytest.mark.parametrize("scanner", SCANNERS, ids=lambda s: s.model.replace(" ", ""))
EACH_SYNTAX = pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE_ENDIAN, *COMPRESSED])


def write(plan: Protocol, folder: Path, hu: np.ndarray | None = None) -> Path:
    write_series(every_hu(plan) if hu is None else hu, plan, SUBJECT, 11, folder / "series")
    return folder / "series"


def read(folder: Path) -> list[pydicom.Dataset]:
    """Slices from feet to head."""
    return sorted((pydicom.dcmread(file) for file in folder.iterdir()), key=lambda d: d.ImagePositionPatient[2])


@EACH_SCANNER
@EACH_SYNTAX
def test_hu_are_read_back_exactly(scanner, syntax, tmp_path):
    plan = protocol(scanner=scanner, transfer_syntax=syntax)
    hu = every_hu(plan)
    for k, dataset in enumerate(read(write(plan, tmp_path, hu))):
        stored = dataset.pixel_array.astype(int)
        image = (stored * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)).T[::-1, ::-1]
        inside = np.ones((24, 24), bool) if scanner.padding is None else ~outside_circle(24)
        np.testing.assert_array_equal(image[inside], hu[:, :, k][inside])
        if scanner.padding is not None:
            assert dataset.PixelPaddingValue == -2000
            assert np.all(stored.T[::-1, ::-1][~inside] == -2000)


@EACH_SCANNER
@EACH_SYNTAX
def test_dciodvfy_finds_no_error(scanner, syntax, tmp_path):
    file = next(write(protocol(scanner=scanner, transfer_syntax=syntax), tmp_path).iterdir())
    found = subprocess.run([Path(sys.executable).parent / "dciodvfy", file], capture_output=True, text=True, check=True)
    assert "Error" not in found.stdout + found.stderr
    assert "CTImage" in found.stdout + found.stderr


@pytest.mark.parametrize("position", ["HFS", "FFS"])
def test_positions_are_those_of_the_protocol(position, tmp_path):
    plan = protocol(patient_position=position, shape=(32, 24, 5))
    hu = every_hu(plan)
    volume = highdicom.get_volume_from_series(read(write(plan, tmp_path, hu)), apply_presentation_lut=False)
    voxel = np.array([20, 3, 4])
    at_ras = plan.affine @ [*voxel, 1]
    at_lps = at_ras[:3] * [-1, -1, 1]
    index = np.rint(np.linalg.inv(volume.affine) @ [*at_lps, 1])[:3].astype(int)
    np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], at_lps, atol=1e-3)
    assert volume.array[tuple(index)] == hu[tuple(voxel)]


@pytest.mark.parametrize(("position", "first"), [("HFS", "head"), ("FFS", "feet")])
def test_slices_are_numbered_in_the_direction_of_the_scan(position, first, tmp_path):
    numbers = [int(d.InstanceNumber) for d in read(write(protocol(patient_position=position), tmp_path))]
    assert numbers == ([1, 2, 3, 4, 5] if first == "feet" else [5, 4, 3, 2, 1])


def test_file_names_do_not_tell_the_order(tmp_path):
    folder = write(protocol(shape=(24, 24, 40)), tmp_path)
    heights = [float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in sorted(folder.iterdir())]
    assert heights not in (sorted(heights), sorted(heights, reverse=True))


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    plan = protocol(transfer_syntax=COMPRESSED[0])
    first, second = (sha256_of(write(plan, tmp_path / name)) for name in ("a", "b"))
    assert first == second


def test_series_is_marked_as_a_phantom(tmp_path):
    dataset = read(write(protocol(), tmp_path))[0]
    assert str(dataset.PatientName) == "PHANTOM^PH0001"
    assert dataset.QualityControlSubject == "YES"
    assert dataset.PatientAge == "071Y"


def test_uids_are_valid_and_differ_between_slices(tmp_path):
    uids = [d.SOPInstanceUID for d in read(write(protocol(), tmp_path))]
    assert len(set(uids)) == 5
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


def test_hu_that_the_scanner_cannot_store_are_refused(tmp_path):
    plan = protocol(scanner=SCANNERS[5])  # Philips from -1000
    with pytest.raises(ValueError, match="do not fit the format of Brilliance 64"):
        write(plan, tmp_path, np.full(plan.shape, -1024, np.int16))
    assert not (tmp_path / "series").exists()
