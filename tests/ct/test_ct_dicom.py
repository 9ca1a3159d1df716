"""DICOM series that must convert: every voxel at its place with its exact HU."""

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.image import get_volume_from_series
from pydicom.dataset import Dataset

from helpers.series import (
    ORIENTATIONS,
    PIXEL_SPACING,
    assert_same_place,
    body_hu,
    convert,
    converted_volume,
    make_slice,
    positions,
    write_series,
)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_every_orientation_keeps_places_and_hu(orientation: tuple[float, ...], tmp_path: Path) -> None:
    hu = body_hu()
    folder = write_series(tmp_path / "in", hu, orientation=orientation)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu), orientation), orientation)


def test_file_names_and_instance_numbers_do_not_order_slices(tmp_path: Path) -> None:
    hu = body_hu()
    names = [f"x{number}.dcm" for number in np.random.default_rng(3).permutation(len(hu))]

    def number(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = (index * 5) % 3

    folder = write_series(tmp_path / "in", hu, names=names, change=number)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))


def test_slices_written_from_head_to_feet(tmp_path: Path) -> None:
    hu = body_hu()
    places = positions(len(hu))[::-1]
    folder = write_series(tmp_path / "in", hu, places)
    assert_same_place(converted_volume(folder, tmp_path), hu, places)


def test_overlapping_slices_are_legal(tmp_path: Path) -> None:
    def thicker(dataset: Dataset, index: int) -> None:
        dataset.SliceThickness = "3"

    hu = body_hu()
    row = convert(write_series(tmp_path / "in", hu, change=thicker), tmp_path)
    assert (row["state"], row["slice_thickness_mm"], row["slice_spacing_mm"]) == ("done", 3.0, pytest.approx(1.5))


def test_monochrome1_does_not_invert_hu(tmp_path: Path) -> None:
    def invert(dataset: Dataset, index: int) -> None:
        dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME1", "INVERSE"

    hu = body_hu()
    folder = write_series(tmp_path / "in", hu, change=invert)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))


def test_slope_and_intercept_of_each_slice_are_its_own(tmp_path: Path) -> None:
    hu = body_hu() * 2

    def scale(dataset: Dataset, index: int) -> None:
        slope, intercept = (0.5, -3000) if index % 2 else (2, -2048)
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(intercept)
        dataset.PixelData = ((hu[index] - intercept) / slope).astype("<u2").tobytes()

    folder = write_series(tmp_path / "in", hu, change=scale)
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))


def test_fractions_of_a_hu_are_rounded_and_told(tmp_path: Path) -> None:
    def scale(dataset: Dataset, index: int) -> None:
        stored = np.arange(80, dtype="<u2").reshape(10, 8) * 50
        dataset.RescaleSlope, dataset.PixelData = "0.37", stored.tobytes()

    row = convert(write_series(tmp_path / "in", body_hu(), change=scale), tmp_path)
    volume = converted_volume(tmp_path / "in", tmp_path)
    expected = np.rint(np.arange(80).reshape(10, 8) * 50 * 0.37 - 1024)
    np.testing.assert_array_equal(volume.hu[::-1, ::-1, 0].T, expected)
    assert row["warnings"] == "fractions of a HU rounded"


def test_signed_padding_written_as_unsigned_becomes_air(tmp_path: Path) -> None:
    hu = body_hu()

    def pad(dataset: Dataset, index: int) -> None:
        stored = hu[index].astype("<i2")
        stored[0, :] = -2000
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.add_new("PixelPaddingValue", "US", 63536)
        dataset.PixelData = stored.tobytes()

    folder = write_series(tmp_path / "in", hu, change=pad)
    hu[:, 0, :] = -1024
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))


def test_identical_duplicates_are_dropped_and_told(tmp_path: Path) -> None:
    hu = body_hu()
    folder = write_series(tmp_path / "in", hu)
    (folder / "again.dcm").write_bytes((folder / "slice003.dcm").read_bytes())
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))
    assert convert(folder, tmp_path)["warnings"] == "1 identical duplicate slice(s) ignored"


def test_localizers_are_dropped_and_told(tmp_path: Path) -> None:
    hu = body_hu()
    folder = write_series(tmp_path / "in", hu)
    scout = make_slice(body_hu(1, 20, 30)[0], (0, 0, 0), (1, 0, 0, 0, 0, -1))
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.save_as(folder / "scout.dcm")
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))
    assert convert(folder, tmp_path)["warnings"] == "1 localizer image(s) ignored"


def test_stray_files_and_nested_folders_do_not_hurt(tmp_path: Path) -> None:
    hu = body_hu()
    names = [f"{'a' if index % 2 else 'b/c'}/IM{index}" for index in range(len(hu))]
    for name in ("a", "b/c"):
        (tmp_path / "in" / name).mkdir(parents=True)
    folder = write_series(tmp_path / "in", hu, names=names)
    (folder / ".snakemake_timestamp").touch()
    (folder / "notes.txt").write_text("not DICOM")
    directory = make_slice(hu[0], (0, 0, 0))
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(folder / "DICOMDIR")
    assert_same_place(converted_volume(folder, tmp_path), hu, positions(len(hu)))
    assert convert(folder, tmp_path)["warnings"] == "1 file(s) ignored: not DICOM"


def test_a_zip_gives_the_same_volume_as_its_folder(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"study/{file.name}")
    convert(folder, tmp_path / "a")
    convert(tmp_path / "in.zip", tmp_path / "b")
    name = "scan-1_ct.nii.gz"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_hundredth_of_a_millimetre_of_jitter_is_accepted(tmp_path: Path) -> None:
    hu = body_hu(12)
    places = positions(len(hu), step=0.6)
    places[1::2, 2] += 0.01
    assert converted_volume(write_series(tmp_path / "in", hu, places), tmp_path).hu.shape == (8, 10, 12)


def test_the_image_hash_does_not_depend_on_the_header(tmp_path: Path) -> None:
    def rename(dataset: Dataset, index: int) -> None:
        dataset.PatientID, dataset.SeriesInstanceUID, dataset.Manufacturer = "other", "1.2.3", "Another"

    hashes = [
        convert(write_series(tmp_path / name, body_hu(seed=seed), change=change), tmp_path)["image_sha256"]
        for name, seed, change in (("a", 0, None), ("b", 0, rename), ("c", 1, None))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_blank_sop_class_is_taken_from_the_file_header(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, (frame, place) in enumerate(zip(body_hu(), positions(12), strict=True)):
        dataset = make_slice(frame, place)
        dataset.SOPClassUID = ""
        dataset.save_as(tmp_path / "in" / f"{index}.dcm")
    assert convert(tmp_path / "in", tmp_path)["state"] == "done"


def test_it_agrees_with_highdicoms_strict_reader(tmp_path: Path) -> None:
    orientation = ORIENTATIONS["oblique"]
    folder = write_series(tmp_path / "in", body_hu(), orientation=orientation)
    ours = converted_volume(folder, tmp_path)
    series = [pydicom.dcmread(file) for file in folder.iterdir()]
    theirs = get_volume_from_series(series, apply_presentation_lut=False).to_patient_orientation("RAS")
    np.testing.assert_array_equal(ours.hu, theirs.array)
    np.testing.assert_allclose(ours.affine, theirs.get_affine("RAS"), atol=1e-3)
    assert sorted(ours.spacing_mm) == pytest.approx(sorted([*PIXEL_SPACING, 1.5]), abs=1e-5)
