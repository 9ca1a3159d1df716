"""Small synthetic CT series: voxels with known HU at known places, written as DICOM slices."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import convert_scan
from vertegrade.ct.volume import Volume, mm_to_voxel, read_volume
from vertegrade.settings.ct import CtSettings

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILT = np.radians(20)
ORIENTATIONS = {
    "axial": AXIAL,
    "head first prone": (-1, 0, 0, 0, -1, 0),
    "decubitus": (0, -1, 0, 1, 0, 0),
    "feet first, normal towards the feet": (-1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": (1, 0, 0, 0, np.cos(TILT), np.sin(TILT)),
}
ORIGIN = (-12.5, 31.25, -700.0)
PIXEL_SPACING = (0.7, 0.9)  # rows, columns
SERIES_UID = "1.2.826.0.1.3680043.8.498.1"


def body_hu(slices: int = 12, rows: int = 10, columns: int = 8, seed: int = 0) -> np.ndarray:
    """HU (slices, rows, columns): every voxel another value, a third of them air, the rest like tissue and bone."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(-100, 1200, (slices, rows, columns))
    hu[:, :, : columns // 3] = rng.integers(-1010, -990, (slices, rows, columns // 3))
    return hu


def positions(count: int, orientation: Sequence[float] = AXIAL, step: float = 1.5) -> np.ndarray:
    """ImagePositionPatient (LPS mm) of an even stack along the slices' normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(ORIGIN) + step * np.arange(count)[:, None] * normal


def make_slice(
    hu: np.ndarray,
    position: Sequence[float],
    orientation: Sequence[float] = AXIAL,
    slope: float = 1,
    intercept: float = -1024,
) -> FileDataset:
    """One CT slice; stored value = (HU - intercept) / slope, rounded."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = SERIES_UID
    dataset.StudyInstanceUID = SERIES_UID + ".1"
    dataset.FrameOfReferenceUID = SERIES_UID + ".2"
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "PLANTED-ID", "Planted^Name", "19010203"
    dataset.Modality = "CT"
    dataset.Manufacturer, dataset.ConvolutionKernel = "Maker", ["Br38f", "3"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientPosition = "HFS"
    dataset.KVP = "120"
    dataset.SliceThickness = "1.5"
    dataset.ImagePositionPatient = [f"{value:.5f}" for value in position]
    dataset.ImageOrientationPatient = [f"{value:.6f}" for value in orientation]
    dataset.PixelSpacing = list(PIXEL_SPACING)
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = str(slope), str(intercept), "HU"
    dataset.PixelData = np.rint((hu - intercept) / slope).astype("<u2").tobytes()
    return dataset


def write_series(
    folder: Path,
    hu: np.ndarray,
    places: np.ndarray | None = None,
    orientation: Sequence[float] = AXIAL,
    names: Sequence[str] | None = None,
    change: Callable[[Dataset, int], None] | None = None,
) -> Path:
    """Write HU (slices, rows, columns) as one file a slice; `change(dataset, index)` plants what a test is about."""
    folder.mkdir(parents=True, exist_ok=True)
    places = positions(len(hu), orientation) if places is None else places
    for index, (frame, place) in enumerate(zip(hu, places, strict=True)):
        dataset = make_slice(frame, place, orientation)
        if change is not None:
            change(dataset, index)
        name = names[index] if names is not None else f"slice{index:03d}.dcm"
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder


def convert(path: Path, out: Path, **settings: float) -> dict:
    """The row of tables.SCANS for one path, with the volume in `out`."""
    return convert_scan(ScanRow("scan-1", "patient-1", str(path)), out, CtSettings(**settings))


def converted_volume(path: Path, out: Path) -> Volume:
    """The volume of a path that must convert."""
    row = convert(path, out)
    assert row["state"] == "done", row
    return read_volume(out / "scan-1_ct.nii.gz")


def assert_same_place(volume: Volume, hu: np.ndarray, places: np.ndarray, orientation: Sequence[float] = AXIAL) -> None:
    """Every source voxel stands in the volume within 0.01 mm of where DICOM says (C.7.6.2.1.1), with its exact HU."""
    slices, rows, columns = np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij")
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lps = places[slices] + row * (columns * PIXEL_SPACING[1])[..., None] + column * (rows * PIXEL_SPACING[0])[..., None]
    voxels = mm_to_voxel(volume.affine, lps * [-1, -1, 1])
    nearest = np.rint(voxels).astype(int)
    assert np.abs((voxels - nearest) * volume.spacing_mm).max() < 0.01
    assert volume.hu.size == hu.size
    np.testing.assert_array_equal(volume.hu[tuple(np.moveaxis(nearest, -1, 0))], hu)
