"""List 3.3 of bad inputs, 1 to 22: geometry and series. Numbers in the names are the list's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import LegacyConvertedEnhancedCTImageStorage, SecondaryCaptureImageStorage

from helpers.bad_inputs import InShard, flags, tag, verdict
from helpers.enhanced import write_enhanced
from helpers.series import body_hu, make_slice, positions, write_series
from vertegrade.ct.headers import series_code
from vertegrade.ct.stack import check_thickness
from vertegrade.ct.volume import read_volume
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.ct import CtSettings


def test_01_missing_slices(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu(14))
    (folder / "slice005.dcm").unlink()
    state = in_shard(folder)
    assert verdict(state) == ("failed", "missing_slices")
    assert "between slice004.dcm and slice006.dcm: 1 slice(s) are missing; copy" in state["message"]


@pytest.mark.parametrize(("gone", "told"), [((0, 1), "begin at 3"), ((12, 13), "counts 14 images, 12 are here")])
def test_02_missing_end_slices(gone: tuple[int, int], told: str, tmp_path: Path, in_shard: InShard) -> None:
    def number(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = index + 1
        if gone[0]:
            dataset.ImagesInAcquisition = 14

    folder = write_series(tmp_path / "in", body_hu(14), change=number)
    for index in gone:
        (folder / f"slice{index:03d}.dcm").unlink()
    state = in_shard(folder)
    assert flags(state) == ["ends_missing"]
    assert told in state["warnings"]


def test_03_identical_duplicates(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    (folder / "again.dcm").write_bytes((folder / "slice003.dcm").read_bytes())
    state = in_shard(folder)
    assert (flags(state), state["slices"]) == ([], 12)
    assert state["warnings"] == "1 identical duplicate slice(s) ignored"


def test_04_conflicting_duplicates(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    make_slice(body_hu(seed=5)[3], positions(12)[3]).save_as(folder / "other.dcm")
    state = in_shard(folder)
    assert verdict(state) == ("failed", "conflicting_duplicates")
    assert "other.dcm and slice003.dcm: two images of one slice position; separate" in state["message"]


def test_04_one_image_at_two_places_of_a_plane(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    make_slice(body_hu()[3], positions(12)[3] + [5, 0, 0]).save_as(folder / "aside.dcm")
    assert verdict(in_shard(folder)) == ("failed", "conflicting_duplicates")


@pytest.mark.parametrize("number", [lambda i: (i * 5) % 12 + 1, lambda i: 1], ids=["shuffled", "all the same"])
def test_05_instance_numbers_that_lie(number: Callable[[int], int], tmp_path: Path, in_shard: InShard) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = number(index)

    state = in_shard(write_series(tmp_path / "in", body_hu(), change=change))
    plain = in_shard(write_series(tmp_path / "plain", body_hu()))
    assert (flags(state), state["image_sha256"]) == ([], plain["image_sha256"])


def test_06_reversed_order(tmp_path: Path, in_shard: InShard) -> None:
    names = [f"{index:02d}.dcm" for index in range(12)]
    reverse = write_series(tmp_path / "in", body_hu()[::-1], positions(12)[::-1], names=names)
    plain = in_shard(write_series(tmp_path / "plain", body_hu()))
    assert in_shard(reverse)["image_sha256"] == plain["image_sha256"]


@pytest.mark.parametrize("name", ["ImagePositionPatient", "ImageOrientationPatient"])
@pytest.mark.parametrize(("at", "file"), [(4, "slice004.dcm"), (None, "slice000.dcm")], ids=["one", "all"])
def test_07_no_position(name: str, at: int | None, file: str, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag(name, None, at)))
    assert verdict(state) == ("failed", "missing_tag")
    assert f"{file}: {name} is missing; export" in state["message"]


def scout() -> Dataset:
    return make_slice(body_hu(1, 20, 30)[0], (0, 0, 0), (1, 0, 0, 0, 0, -1))


def test_08_a_localizer_in_the_series(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    image = scout()
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    image.save_as(folder / "scout.dcm")
    state = in_shard(folder)
    assert (flags(state), state["slices"], state["warnings"]) == ([], 12, "1 localizer image(s) ignored")


def test_08_a_localizer_that_does_not_say_so(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    scout().save_as(folder / "scout.dcm")
    state = in_shard(folder)
    assert verdict(state) == ("excluded", "inconsistent_slices")
    assert "differs from scout.dcm's; give one series" in state["message"]


def test_09_several_series(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    names = [f"bone{index}.dcm" for index in range(12)]
    write_series(folder, body_hu(seed=1), names=names, change=tag("SeriesInstanceUID", "1.2.3"))
    state = in_shard(folder)
    assert verdict(state) == ("excluded", "several_series")
    assert "2 CT series (12, 12 slices) lie together; give one of them, or set ct.choose_series" in state["message"]


def test_09_the_series_that_the_sheet_names(tmp_path: Path, in_shard: InShard) -> None:
    plain = in_shard(write_series(tmp_path / "plain", body_hu(seed=1)))
    folder = write_series(tmp_path / "in", body_hu(), change=tag("PatientID", "PLANTED-OTHER"))
    names = [f"bone{index}.dcm" for index in range(12)]
    write_series(folder, body_hu(seed=1), names=names, change=tag("SeriesInstanceUID", "1.2.3"))
    state = in_shard(folder, series=series_code("1.2.3"))
    assert (flags(state), state["slices"], state["image_sha256"]) == ([], 12, plain["image_sha256"])
    state = in_shard(folder, series="0123456789abcdef")
    assert verdict(state) == ("failed", "series_missing")
    assert "no CT series of code 0123456789abcdef is here; write the sample sheet again" in state["message"]


def test_09_a_short_series_beside_the_long_one(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    names = [f"short{index}.dcm" for index in range(3)]
    write_series(folder, body_hu(3), names=names, change=tag("SeriesInstanceUID", "1.2.3"))
    state = in_shard(folder)
    assert (flags(state), state["slices"], state["warnings"]) == ([], 12, "1 shorter CT series ignored")


def test_10_two_phases_in_one_series(tmp_path: Path, in_shard: InShard) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    write_series(folder, body_hu(seed=1), names=[f"late{index}.dcm" for index in range(12)])
    state = in_shard(folder)
    assert verdict(state) == ("failed", "conflicting_duplicates")
    assert "separate the phases or reconstructions and give one" in state["message"]


@pytest.mark.parametrize("degrees", [-12.0, 0.5, 18.5])
def test_11_gantry_tilt(degrees: float, tmp_path: Path, in_shard: InShard) -> None:
    places = positions(12)
    places[:, 1] += np.arange(12) * 1.5 * np.tan(np.radians(degrees))
    state = in_shard(write_series(tmp_path / "in", body_hu(), places))
    assert verdict(state) == ("excluded", "gantry_tilt")
    assert f"{abs(degrees)} degrees" in state["message"]
    assert "give a straight reconstruction, or set ct.resample_tilt" in state["message"]


@pytest.mark.parametrize(("step", "accepted"), [(0.01, True), (0.03, False), (0.4, False)])
def test_12_uneven_spacing(step: float, accepted: bool, tmp_path: Path, in_shard: InShard) -> None:
    places = positions(12)
    places[6:, 2] += step
    state = in_shard(write_series(tmp_path / "in", body_hu(), places))
    assert verdict(state) == (("done", "") if accepted else ("excluded", "uneven_spacing"))
    if not accepted:
        assert "first between slice005.dcm and slice006.dcm; give an even" in state["message"]


def test_13_overlapping_slices(tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("SliceThickness", "3")))
    assert (flags(state), state["slice_thickness_mm"], state["slice_spacing_mm"]) == ([], 3.0, pytest.approx(1.5))


@pytest.mark.parametrize(("name", "value"), [("PixelSpacing", [0.7, 0.8]), ("Rows", 9), ("Columns", 7)])
def test_14_slices_of_other_size(name: str, value: object, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag(name, value, 4)))
    assert verdict(state) == ("excluded", "inconsistent_slices")
    assert f"slice004.dcm: {name} differs from slice000.dcm's; give one series" in state["message"]


def test_15_a_flipped_slice(tmp_path: Path, in_shard: InShard) -> None:
    change = tag("ImageOrientationPatient", [-1, 0, 0, 0, -1, 0], 4)
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=change))
    assert verdict(state) == ("excluded", "inconsistent_slices")
    assert "slice004.dcm: ImageOrientationPatient differs" in state["message"]


@pytest.mark.parametrize(
    ("thickness", "outcome"),
    [("3.5", ("done", "", "thick_slices")), ("3", ("done", "", "")), ("7.5", ("excluded", "thick_slices", ""))],
)
def test_16_thick_slices(thickness: str, outcome: tuple[str, ...], tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=tag("SliceThickness", thickness)))
    assert (*verdict(state), state["flags"]) == outcome
    assert outcome[0] == "done" or "slices of 7.5 mm" in state["message"]


@pytest.mark.parametrize(("step", "outcome"), [(5.0, "thick_slices"), (3.0, ""), (5.2, None), (3.1, "thick_slices")])
def test_16_usual_thicknesses_are_not_beyond_their_limits_wherever_the_stack_starts(  # field test B3
    step: float, outcome: str | None
) -> None:
    def stack_from(start: float) -> str | None:
        places = [f"{start + step * n:.4f}".rstrip("0") for n in range(40)]  # as scanners write them
        thickest = float(np.diff(np.array(places, dtype=float)).max())
        notes = Notes()
        try:
            check_thickness(thickest, CtSettings(), notes)
        except Refused:
            return None
        return " ".join(notes.flags)

    starts = np.random.default_rng(3).uniform(-1500, 1500, 300)
    assert {stack_from(start) for start in starts} == {outcome}
    assert {stack_from(round(start, 2)) for start in starts} == {outcome}


@pytest.mark.parametrize("count", [1, 9])
def test_17_too_few_slices(count: int, tmp_path: Path, in_shard: InShard) -> None:
    state = in_shard(write_series(tmp_path / "in", body_hu(count)))
    assert verdict(state) == ("excluded", "too_few_slices")
    assert f"{count} CT slice(s), fewer than ct.min_slices = 10; give the whole series" in state["message"]


@pytest.mark.parametrize("legacy", [False, True], ids=["19 enhanced", "20 legacy-converted"])
def test_19_and_20_multi_frame_ct(legacy: bool, tmp_path: Path, in_shard: InShard) -> None:
    path = write_enhanced(tmp_path / "in", body_hu())
    if legacy:
        write_enhanced(tmp_path / "in", body_hu(), LegacyConvertedEnhancedCTImageStorage)
    plain = in_shard(write_series(tmp_path / "plain", body_hu()))
    volume = read_volume(_converted(in_shard, tmp_path, plain))
    state = in_shard(path)
    assert (flags(state), state["slices"], state["image_sha256"]) == ([], 12, plain["image_sha256"])
    np.testing.assert_allclose(read_volume(tmp_path / "shard/scan-1_ct.nii.gz").affine, volume.affine, atol=1e-4)


def _converted(in_shard: InShard, tmp_path: Path, plain: dict[str, Any]) -> Path:
    assert plain["state"] == "done"
    return (tmp_path / "shard/scan-1_ct.nii.gz").rename(tmp_path / "plain_ct.nii.gz")


def test_21_secondary_captures_and_reports(tmp_path: Path, in_shard: InShard) -> None:
    shots = write_series(tmp_path / "in", body_hu(), change=tag("SOPClassUID", SecondaryCaptureImageStorage))
    state = in_shard(shots)
    assert verdict(state) == ("excluded", "not_ct")
    assert "give the CT series" in state["message"]
    report = make_slice(body_hu()[0], (0, 0, 0))
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.67", "SR"  # radiation dose report
    report.save_as(write_series(tmp_path / "mixed", body_hu()) / "dose.dcm")
    state = in_shard(tmp_path / "mixed")
    assert (flags(state), state["warnings"]) == ([], "1 file(s) ignored: DICOM but not CT")


@pytest.mark.parametrize(
    ("kind", "outcome"), [("MPR", ("done", "", "derived")), ("MIP", ("excluded", "projection", ""))]
)
def test_22_derived_images(kind: str, outcome: tuple[str, ...], tmp_path: Path, in_shard: InShard) -> None:
    change = tag("ImageType", ["DERIVED", "SECONDARY", "AXIAL", kind])
    state = in_shard(write_series(tmp_path / "in", body_hu(), change=change))
    assert (*verdict(state), state["flags"]) == outcome
    assert kind == "MPR" or "slice000.dcm: an intensity projection (MIP); give the slices" in state["message"]
