"""A sheet that is written again keeps what a person edited, and takes over what changed in the folder."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import COLUMNS, ScanRow, read_sheet
from vertegrade.index.folder import IndexingError, report_of, update_index
from vertegrade.index.headers import nifti_content


def write(path: Path, dtype: str = "int16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = sum(str(path).encode())  # no two images share a header
    nib.Nifti1Image(np.zeros((6, 7, 12), dtype), np.eye(4) + np.eye(4, k=3) * origin).to_filename(path)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Two scans of one person, whose names do not say so, and one of another."""
    for name in ("before", "after", "other"):
        write(tmp_path / f"in/sub-{name}_ct.nii.gz")
    return tmp_path / "in"


def named_by_place(top: Path) -> Path:
    """Three scans whose ids are of their place below the folder."""
    for name in ("case1", "case2", "case3"):
        write(top / name / "ct.nii.gz")
    return top


def update(top: Path) -> list[str]:
    return update_index(top, top.parent / "scans.csv", top.parent / "scans.key.tsv", 1)[1]


def rows(top: Path) -> dict[str, ScanRow]:
    return {row.scan_id: row for row in read_sheet(top.parent / "scans.csv")}


def edit(top: Path, scan: str, **cells: str) -> None:
    """Write cells into the row of a scan, as a person does in a spreadsheet."""
    lines = [asdict(row) | (cells if row.scan_id == scan else {}) for row in rows(top).values()]
    with (top.parent / "scans.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(lines)


def remove(top: Path, scan: str) -> None:
    sheet = top.parent / "scans.csv"
    lines = sheet.read_text().splitlines(keepends=True)
    sheet.write_text("".join(line for line in lines if not line.startswith(scan)))


def test_a_sheet_that_nobody_edited_is_written_again_without_a_word(top: Path) -> None:
    assert update(top) == []
    text = (top.parent / "scans.csv").read_text()
    assert update(top) == []
    assert (top.parent / "scans.csv").read_text() == text


def test_two_scans_of_one_person_stay_one_patient_with_months(top: Path) -> None:
    update(top)
    edit(top, "before", patient_id="ann", months="0")
    edit(top, "after", patient_id="ann", months="18.5")
    write(top / "sub-new_ct.nii.gz")
    for _ in range(3):
        assert update(top) == ["2 row(s) that you edited stay as you wrote them"]
    found = rows(top)
    assert {scan: (row.patient_id, row.months) for scan, row in found.items()} == {
        "before": ("ann", "0"),
        "after": ("ann", "18.5"),
        "other": ("other", ""),
        "new": ("new", ""),
    }


def test_what_changed_in_the_folder_is_taken_over_into_an_edited_row(top: Path) -> None:
    update(top)
    edit(top, "before", patient_id="ann")
    (top / "moved").mkdir()
    (top / "sub-before_ct.nii.gz").rename(top / "moved/sub-before_ct.nii.gz")
    write(top / "moved/sub-before_seg.nii.gz", "uint8")
    update(top)
    row = rows(top)["before"]
    assert (row.patient_id, row.path) == ("ann", f"{top}/moved/sub-before_ct.nii.gz")
    assert row.mask == f"{top}/moved/sub-before_seg.nii.gz"
    edit(top, "before", mask="")  # a mask that is no good
    update(top)
    assert rows(top)["before"].mask == ""


def test_a_row_that_was_removed_stays_out_and_an_own_one_stays(top: Path) -> None:
    update(top)
    remove(top, "other")
    with (top.parent / "scans.csv").open("a") as file:
        file.write("mine,ann,/elsewhere/mine.nii.gz" + "," * 10 + "\n")
    for _ in range(2):
        assert update(top) == ["1 row(s) of your own stay", "1 scan(s) whose row you removed stay out"]
        assert set(rows(top)) == {"before", "after", "mine"}


def test_a_scan_that_is_gone_is_told_once_and_comes_back_as_it_was(top: Path) -> None:
    update(top)
    edit(top, "before", patient_id="ann", months="0")
    (top / "sub-before_ct.nii.gz").rename(top.parent / "aside.nii.gz")
    assert update(top) == ["1 scan(s) are not in the folder any more and are left out: before"]
    assert set(rows(top)) == {"after", "other"}
    assert update(top) == []
    (top.parent / "aside.nii.gz").rename(top / "sub-before_ct.nii.gz")
    assert update(top) == ["1 row(s) that you edited stay as you wrote them"]
    assert (rows(top)["before"].patient_id, rows(top)["before"].months) == ("ann", "0")


def test_without_the_report_every_other_cell_counts_as_edited(top: Path) -> None:
    update(top)
    edit(top, "before", patient_id="ann")
    report_of(top.parent / "scans.csv").unlink()
    assert update(top) == ["1 row(s) that you edited stay as you wrote them"]
    assert rows(top)["before"].patient_id == "ann"


def edited_cases(tmp_path: Path) -> tuple[Path, dict[str, ScanRow]]:
    """A folder whose first two scans were given one patient_id, and whose third was removed; and the rows before."""
    top = named_by_place(tmp_path / "siteA")
    update(top)
    before = {Path(row.path).parent.name: row for row in rows(top).values()}
    edit(top, before["case1"].scan_id, patient_id="ann", months="0")
    edit(top, before["case2"].scan_id, patient_id="ann", months="12")
    remove(top, before["case3"].scan_id)
    return top, before


def outputs(top: Path) -> list[bytes]:
    return [(top.parent / name).read_bytes() for name in ("scans.csv", "scans.index.json", "scans.key.tsv")]


def test_another_folder_with_the_same_names_gets_nothing_of_the_first_one(tmp_path: Path) -> None:
    top, _ = edited_cases(tmp_path)
    before = outputs(top)
    with pytest.raises(IndexingError, match=r"3 scan\(s\) of .*siteB have an id.*name another place.*OUT=") as error:
        update(named_by_place(tmp_path / "siteB"))
    assert f"{tmp_path}/siteB/case" in str(error.value)
    assert outputs(top) == before
    assert len(update(top)) == 2  # the first folder goes on as it was


def test_names_of_bids_in_another_folder_are_other_people_too(top: Path) -> None:
    update(top)
    write(top.parent / "siteB/sub-before_ct.nii.gz")
    with pytest.raises(IndexingError, match=r"1 scan\(s\).*siteB/sub-before_ct"):
        update(top.parent / "siteB")
    shutil.rmtree(top.parent / "siteB")
    write(top.parent / "siteB/sub-new_ct.nii.gz")  # no id of before: what was there is left out, and noted
    edit(top, "before", patient_id="ann")
    assert update(top.parent / "siteB") == [
        "3 scan(s) are not in the folder any more and are left out: after, before, other"
    ]
    write(top.parent / "siteB/sub-before_ct.nii.gz")
    with pytest.raises(IndexingError, match="siteB/sub-before_ct"):
        update(top.parent / "siteB")
    assert update(top)[0] == "1 row(s) that you edited stay as you wrote them"


def test_a_folder_that_was_renamed_keeps_its_edits_and_removals(tmp_path: Path) -> None:
    top, before = edited_cases(tmp_path)
    moved = top.rename(tmp_path / "renamed")
    told = ["2 row(s) that you edited stay as you wrote them", "1 scan(s) whose row you removed stay out"]
    assert update(moved) == told
    found = rows(moved)
    assert [found[before[case].scan_id].months for case in ("case1", "case2")] == ["0", "12"]
    assert {row.path for row in found.values()} == {f"{moved}/{case}/ct.nii.gz" for case in ("case1", "case2")}


def change(path: Path) -> None:
    """Another image of the same header and size."""
    data = np.zeros((6, 7, 12), "int16")
    data[3, 3, 6] = 1
    old = path.read_bytes()
    nib.Nifti1Image(data, nib.load(path).affine).to_filename(path)
    assert path.read_bytes() != old


def test_an_image_that_changed_in_its_place_is_asked_about_where_its_row_was_edited(top: Path) -> None:
    update(top)
    change(top / "sub-after_ct.nii.gz")  # mended, or made again: nobody wrote anything of it
    assert update(top) == []
    edit(top, "before", patient_id="ann")
    remove(top, "other")
    change(top / "sub-other_ct.nii.gz")
    assert update(top) == [
        "1 row(s) that you edited stay as you wrote them",
        "1 scan(s) whose row you removed are other images now and are in the sheet again: other",
    ]
    change(top / "sub-before_ct.nii.gz")
    with pytest.raises(IndexingError, match=r"also remove .*scans\.index\.json"):
        update(top)
    report_of(top.parent / "scans.csv").unlink()  # by a person who knows that they are the same
    assert update(top) == ["1 row(s) that you edited stay as you wrote them"]


def test_images_of_one_size_that_differ_only_deep_inside_have_two_contents(tmp_path: Path) -> None:
    voxels = np.zeros((64, 64, 600), "int16")
    contents = set()
    for value in (0, 1):
        voxels[20:40, 20:40, 250:350] = value
        for number, name in enumerate(("a.nii", "b.nii.gz")):
            nib.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / name)
            contents.add((number, nifti_content(tmp_path / name)))
        assert nifti_content(tmp_path / "a.nii") == nifti_content((tmp_path / "a.nii").rename(tmp_path / "moved.nii"))
    assert len(contents) == 4
    assert nifti_content(tmp_path / "none.nii") is None


def by_the_version_before(top: Path) -> None:
    """The report as it was: the ids alone."""
    report = report_of(top.parent / "scans.csv")
    noted = json.loads(report.read_text())
    report.write_text(json.dumps({name: noted[name] for name in ("files", "images", "scans", "left_out", "notes")}))


def test_a_sheet_of_the_version_before_keeps_what_a_person_fills_in_and_no_wrong_mask(top: Path) -> None:
    write(top / "sub-after_seg.nii.gz", "uint8")
    update(top)
    wrong = f"{top}/sub-after_seg.nii.gz"
    edit(top, "before", patient_id="ann", months="0", mask=wrong, centroids="/x.json", series="f0", fingerprint="2")
    edit(top, "after", patient_id="ann", months="12", mask="")
    by_the_version_before(top)
    for _ in range(2):
        assert update(top) == ["2 row(s) that you edited stay as you wrote them"]
        found = rows(top)
        assert found["before"] == ScanRow("before", "ann", f"{top}/sub-before_ct.nii.gz", months="0", fingerprint="2")
        assert found["after"] == ScanRow("after", "ann", f"{top}/sub-after_ct.nii.gz", mask=wrong, months="12")


def test_rows_of_the_version_before_that_are_not_in_the_folder_are_gone_and_not_a_person_s_own(top: Path) -> None:
    update(top)
    edit(top, "before", patient_id="ann")
    with (top.parent / "scans.csv").open("a") as file:
        file.write("mine;ann;/elsewhere/mine.nii.gz" + ";" * 10 + "\n")
    by_the_version_before(top)
    write(top.parent / "siteB/sub-new_ct.nii.gz")
    assert update(top.parent / "siteB") == [
        "1 row(s) of your own stay",
        "3 scan(s) are not in the folder any more and are left out: after, before, other",
    ]
    assert set(rows(top)) == {"new", "mine"}
    assert "1 row(s) that you edited stay as you wrote them" in update(top)
    assert rows(top)["before"].patient_id == "ann"


@pytest.mark.parametrize("old", [by_the_version_before, lambda top: report_of(top.parent / "scans.csv").unlink()])
def test_without_contents_the_path_says_which_scan_it_is(old: Callable[[Path], None], tmp_path: Path) -> None:
    top, before = edited_cases(tmp_path)
    old(top)
    other = named_by_place(tmp_path / "siteB")
    with pytest.raises(IndexingError, match=r"2 scan\(s\) of .*siteB.*where they moved, give their rows the new path"):
        update(other)
    for case in ("case1", "case2"):  # by a person who knows that they are the same
        edit(top, before[case].scan_id, path=f"{other}/{case}/ct.nii.gz")
    assert update(other) == ["2 row(s) that you edited stay as you wrote them"]


def test_dicom_without_series_uid_is_known_by_its_images(tmp_path: Path) -> None:
    for folder, number in (("siteA", 1), ("siteB", 2)):

        def nameless(dataset: Dataset, index: int, number: int = number) -> None:
            dataset.SeriesInstanceUID = ""
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.{number}.{index + 1}"

        write_series(tmp_path / folder / "ct", body_hu(12), change=nameless)
    update(tmp_path / "siteA")
    with pytest.raises(IndexingError, match="1 scan"):
        update(tmp_path / "siteB")
    (tmp_path / "siteA").rename(tmp_path / "renamed")
    assert update(tmp_path / "renamed") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"scan_id,path\na,b\n", "column 'patient_id' is missing"),
        (b"\xff\xfe\x00", "not a text in UTF-8"),
        (b"scan_id,patient_id,path,months\na,p,/x,soon\n", "line 2: months 'soon' must be a number"),
    ],
)
def test_a_sheet_that_cannot_be_used_is_named_and_left_alone(text: bytes, says: str, top: Path) -> None:
    update(top)
    sheet = top.parent / "scans.csv"
    sheet.write_bytes(text)
    with pytest.raises(IndexingError) as error:
        update(top)
    assert says in str(error.value)
    assert str(error.value).startswith(f"{sheet}:")
    assert f"Correct {sheet}, or remove it: it is then written again" in str(error.value)
    assert sheet.read_bytes() == text
    sheet.unlink()
    assert update(top) == []


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_report_is_named(text: str, top: Path) -> None:
    update(top)
    report_of(top.parent / "scans.csv").write_text(text)
    with pytest.raises(IndexingError, match=r"scans\.index\.json: cannot be read \(.*remove it"):
        update(top)


def test_a_sheet_without_any_scan_is_not_written(top: Path) -> None:
    update(top)
    remove(top, "after")
    remove(top, "other")
    (top / "sub-before_ct.nii.gz").unlink()
    text = (top.parent / "scans.csv").read_text()
    with pytest.raises(IndexingError, match="was removed from it; remove it to have it written again"):
        update(top)
    assert (top.parent / "scans.csv").read_text() == text
    remove(top, "before")
    with pytest.raises(IndexingError, match="the sheet has no scans"):
        update(top)
