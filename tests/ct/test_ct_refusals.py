"""Scans that must not convert and are not on the list of bad inputs: each for its own reason, and no file left."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from helpers.series import body_hu, convert, positions, write_series
from vertegrade.ct import slices

Change = Callable[[Dataset, int], None]


def refused(path: Path, out: Path, **settings: float) -> tuple[str, str]:
    """State and reason of a scan that must be refused, after checks that every refusal must pass."""
    row = convert(path, out / "out", **settings)
    assert row["message"].startswith(f"{path}: ")
    assert len(row["message"]) > len(f"{path}: ") + 20
    assert "PLANTED" not in row["message"]
    assert "Planted" not in row["message"]
    assert not list((out / "out").glob("**/*"))
    return row["state"], row["reason"]


def tag(name: str, value: object, at: int | None = 4) -> Change:
    """A change of one tag, in slice `at` or (None) in all."""

    def change(dataset: Dataset, index: int) -> None:
        if at is None or index == at:
            setattr(dataset, name, value)

    return change


CHANGES: dict[str, tuple[Change, tuple[str, str]]] = {
    "MR modality": (tag("Modality", "MR", None), ("excluded", "not_ct")),
    "only localizers": (tag("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], None), ("excluded", "not_ct")),
    "colour": (tag("SamplesPerPixel", 3), ("excluded", "not_ct")),
    "multi-frame without frames": (
        tag("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2.1", None),
        ("failed", "missing_tag"),
    ),
    "other frame of reference": (tag("FrameOfReferenceUID", "1.2.3"), ("excluded", "inconsistent_slices")),
    "empty position": (tag("ImagePositionPatient", None), ("failed", "bad_tag")),
    "a position of two numbers": (tag("ImagePositionPatient", [0, 0]), ("failed", "bad_tag")),
    "pixels without size": (tag("PixelSpacing", [0, 0.9], None), ("failed", "bad_tag")),
    "short direction of rows": (tag("ImageOrientationPatient", [0.9, 0, 0, 0, 1, 0], None), ("failed", "bad_tag")),
    "short direction of columns": (tag("ImageOrientationPatient", [1, 0, 0, 0, 0.9, 0], None), ("failed", "bad_tag")),
    "skewed orientation": (tag("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0], None), ("failed", "bad_tag")),
    "iodine map": (tag("RescaleType", "MGML", None), ("excluded", "not_hu")),
}


@pytest.mark.parametrize(("change", "verdict"), CHANGES.values(), ids=CHANGES.keys())
def test_a_fault_of_the_headers_or_pixels(change: Change, verdict: tuple[str, str], tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu(), change=change)
    assert refused(folder, tmp_path, max_voxels=10**9) == verdict


def test_duplicates_do_not_count_as_slices(tmp_path: Path) -> None:
    places = positions(12)
    places[6:] = places[:6]
    hu = body_hu()
    hu[6:] = hu[:6]
    assert refused(write_series(tmp_path / "in", hu, places), tmp_path) == ("excluded", "too_few_slices")


def test_a_file_cut_in_its_header(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    data = (folder / "slice011.dcm").read_bytes()
    (folder / "slice011.dcm").write_bytes(data[:300])
    assert refused(folder, tmp_path) == ("failed", "missing_tag")


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert refused(tmp_path / "in", tmp_path) == ("failed", "no_dicom")


def test_a_folder_with_too_many_files(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    assert refused(folder, tmp_path, max_files=11) == ("failed", "too_many_files")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "scan.txt").write_text("no CT here")
    assert refused(tmp_path / "scan.txt", tmp_path) == ("failed", "unknown_format")


def test_a_zip_member_with_flipped_bytes(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu(rows=64, columns=64))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    data = (tmp_path / "in.zip").read_bytes()
    (tmp_path / "in.zip").write_bytes(data[:8000] + b"flip" + data[8004:])
    assert refused(tmp_path / "in.zip", tmp_path) == ("failed", "broken_file")


def test_a_damaged_zip(tmp_path: Path) -> None:
    (tmp_path / "in.zip").write_bytes(b"PK\x03\x04 and no more")
    assert refused(tmp_path / "in.zip", tmp_path) == ("failed", "broken_archive")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    for name in ("gone", "gone.zip", "gone.nii.gz"):
        assert refused(tmp_path / name, tmp_path) == ("failed", "path_missing")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    (folder / "locked").mkdir()
    scandir = os.scandir

    def denied(path: str) -> object:
        # Tests may run as root, whom no permission stops.
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert refused(folder, tmp_path) == ("failed", "path_missing")


def test_nothing_but_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/slice.dcm").touch()
    assert refused(tmp_path / "in", tmp_path) == ("failed", "broken_file")


def test_two_frames_in_a_file_of_one_slice(tmp_path: Path) -> None:
    def double(dataset: Dataset, index: int) -> None:
        if index == 4:
            dataset.NumberOfFrames, dataset.PixelData = 2, dataset.PixelData * 2

    assert refused(write_series(tmp_path / "in", body_hu(), change=double), tmp_path) == ("failed", "bad_pixels")


def test_an_element_longer_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object, **__: object) -> None:
        raise MemoryError

    folder = write_series(tmp_path / "in", body_hu())
    monkeypatch.setattr(slices, "read_elements", too_long)
    assert refused(folder, tmp_path) == ("failed", "broken_file")
