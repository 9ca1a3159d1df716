"""A sheet that is written again keeps what a person edited, and takes over what changed in the folder."""

import csv
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.cohort.sheet import COLUMNS, ScanRow, read_sheet
from vertegrade.index.folder import IndexingError, report_of, update_index


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
