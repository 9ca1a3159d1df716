"""Scans that must not convert: each for its own reason, with a message that names the place, and no file left."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ct.ct_series import body_hu, convert, make_slice, positions, write_series

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


def without(name: str, at: int | None = 4) -> Change:
    def change(dataset: Dataset, index: int) -> None:
        if at is None or index == at:
            delattr(dataset, name)

    return change


CHANGES: dict[str, tuple[Change, tuple[str, str]]] = {
    "MR modality": (tag("Modality", "MR", None), ("excluded", "not_ct")),
    "only localizers": (tag("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], None), ("excluded", "not_ct")),
    "colour": (tag("SamplesPerPixel", 3), ("excluded", "not_ct")),
    "multi-frame without frames": (
        tag("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2.1", None),
        ("failed", "missing_tag"),
    ),
    "two patients": (tag("PatientID", "PLANTED-OTHER"), ("failed", "several_patients")),
    "other pixel spacing": (tag("PixelSpacing", [0.7, 0.8]), ("excluded", "inconsistent_slices")),
    "other rows": (tag("Rows", 9), ("excluded", "inconsistent_slices")),
    "flipped slice": (tag("ImageOrientationPatient", [-1, 0, 0, 0, -1, 0]), ("excluded", "inconsistent_slices")),
    "other frame of reference": (tag("FrameOfReferenceUID", "1.2.3"), ("excluded", "inconsistent_slices")),
    "no position": (without("ImagePositionPatient"), ("failed", "missing_tag")),
    "no orientation": (without("ImageOrientationPatient", None), ("failed", "missing_tag")),
    "no rescale": (without("RescaleIntercept", None), ("failed", "missing_tag")),
    "slope 0": (tag("RescaleSlope", "0"), ("failed", "bad_tag")),
    "empty position": (tag("ImagePositionPatient", None), ("failed", "bad_tag")),
    "skewed orientation": (tag("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0], None), ("failed", "bad_tag")),
    "iodine map": (tag("RescaleType", "MGML", None), ("excluded", "not_hu")),
    "lying size": (lambda d, i: d.update({"Rows": 65535, "Columns": 65535}), ("failed", "too_large")),
    "thick slices": (tag("SliceThickness", "7.5", None), ("excluded", "thick_slices")),
    "truncated pixels": (
        lambda d, i: setattr(d, "PixelData", d.PixelData[: -2 * (i == 4) or None]),
        ("failed", "bad_pixels"),
    ),
    "no pixels": (without("PixelData"), ("failed", "missing_pixels")),
    "huge slope": (tag("RescaleSlope", "100"), ("failed", "hu_out_of_range")),
    "lost intercept": (tag("RescaleIntercept", "0", None), ("failed", "implausible_hu")),
    "constant": (lambda d, i: setattr(d, "PixelData", bytes(len(d.PixelData))), ("failed", "implausible_hu")),
}


@pytest.mark.parametrize(("change", "verdict"), CHANGES.values(), ids=CHANGES.keys())
def test_a_fault_of_the_headers_or_pixels(change: Change, verdict: tuple[str, str], tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu(), change=change)
    assert refused(folder, tmp_path, max_voxels=10**9) == verdict


def places_of(kind: str) -> np.ndarray:
    """Positions of 12 slices with one fault of the stack."""
    places = positions(12)
    index = np.arange(12.0)
    if kind == "uneven":
        places[6:, 2] += 0.4
    if kind == "drifting":  # every gap within 1 % of its neighbours' median, but the stack is bent
        places[:, 0] += 0.5 * np.sin(index / 11 * np.pi)
    if kind == "tilt":
        places[:, 1] += index * 1.5 * np.tan(np.radians(1.0))
    return places


@pytest.mark.parametrize(
    ("kind", "reason"), [("uneven", "uneven_spacing"), ("drifting", "uneven_spacing"), ("tilt", "gantry_tilt")]
)
def test_a_stack_that_is_not_even_and_straight(kind: str, reason: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu(), places_of(kind))
    assert refused(folder, tmp_path) == ("excluded", reason)


def test_missing_slices_are_counted_and_placed(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu(14))
    for number in (5, 6):
        (folder / f"slice{number:03d}.dcm").unlink()
    assert refused(folder, tmp_path) == ("failed", "missing_slices")
    message = convert(folder, tmp_path)["message"]
    assert "between slice004.dcm and slice007.dcm: 2 slice(s) are missing" in message


def test_two_images_of_one_position(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    make_slice(body_hu(seed=5)[3], positions(12)[3]).save_as(folder / "other.dcm")
    assert refused(folder, tmp_path) == ("failed", "conflicting_duplicates")


def test_two_series_in_a_folder(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    names = [f"soft{index}.dcm" for index in range(12)]
    write_series(folder, body_hu(seed=1), names=names, change=tag("SeriesInstanceUID", "1.2.3", None))
    assert refused(folder, tmp_path) == ("excluded", "several_series")


def test_a_single_slice(tmp_path: Path) -> None:
    assert refused(write_series(tmp_path / "in", body_hu(1)), tmp_path) == ("excluded", "too_few_slices")


def test_duplicates_do_not_count_as_slices(tmp_path: Path) -> None:
    places = positions(12)
    places[6:] = places[:6]
    hu = body_hu()
    hu[6:] = hu[:6]
    assert refused(write_series(tmp_path / "in", hu, places), tmp_path) == ("excluded", "too_few_slices")


def test_an_empty_file_among_the_slices(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    (folder / "slice011.dcm").write_bytes(b"")
    assert refused(folder, tmp_path) == ("failed", "broken_file")


def test_a_file_cut_in_its_header(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    data = (folder / "slice011.dcm").read_bytes()
    (folder / "slice011.dcm").write_bytes(data[:300])
    assert refused(folder, tmp_path) == ("failed", "missing_tag")


def test_a_folder_without_dicom(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no CT here")
    assert refused(tmp_path / "in", tmp_path) == ("failed", "no_dicom")


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert refused(tmp_path / "in", tmp_path) == ("failed", "no_dicom")


def test_a_folder_with_too_many_files(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    assert refused(folder, tmp_path, max_files=11) == ("failed", "too_many_files")


def test_a_missing_path(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere", tmp_path) == ("failed", "path_missing")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "scan.txt").write_text("no CT here")
    assert refused(tmp_path / "scan.txt", tmp_path) == ("failed", "unknown_format")


@pytest.mark.parametrize("name", ["../evil.dcm", "/etc/evil.dcm", "a/../../evil.dcm", "..\\evil.dcm", "C:/evil.dcm"])
def test_a_zip_member_that_climbs_out(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(name, b"x")
    assert refused(tmp_path / "in.zip", tmp_path) == ("failed", "unsafe_archive")


def test_a_zip_member_that_is_a_link(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link.dcm")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    assert refused(tmp_path / "in.zip", tmp_path) == ("failed", "unsafe_archive")


def test_a_zip_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.dcm", bytes(70 * 2**20))
    assert refused(tmp_path / "in.zip", tmp_path) == ("failed", "unsafe_archive")


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
