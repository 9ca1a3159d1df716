"""The VerSe'19 grade sheet, against the tidy table made of it by others, and small planted faults."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from vertegrade.cohort.labels import LabelError, Labels
from vertegrade.cohort.sources import read_labels
from vertegrade.cohort.verse19 import COLUMNS, SHEET, read_verse19

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "loeffler2020"


@pytest.fixture(scope="module")
def original() -> Labels:
    path = FOLDER / "ryai190138_appendixe1.xlsx"
    if not path.exists():
        pytest.skip(f"the VerSe'19 grade sheet is not at {path}")
    return read_verse19(path)


@pytest.mark.shared
def test_every_grade_and_shape_equals_the_tidy_table(original: Labels) -> None:
    tidy = pd.read_csv(FOLDER / "verse19_genant_tidy.csv", dtype=str)
    expected = pd.DataFrame(
        {
            "patient_id": [f"verse{int(value):03d}" for value in tidy["subject_ID"]],
            "scan_id": [f"verse{int(value):03d}" for value in tidy["verse_ID"]],
            "vertebra": tidy["label"].astype(int),
            "genant_grade": pd.to_numeric(tidy["genant"], errors="coerce"),
            "shape": tidy["shape"].replace("x", "0").astype(float).map({0: "", 1: "wedge", 2: "biconcave", 3: "crush"}),
        }
    ).sort_values(["patient_id", "scan_id", "vertebra"], ignore_index=True)
    pd.testing.assert_frame_equal(original.table[list(expected.columns)], expected, check_dtype=False)


@pytest.mark.shared
def test_counts_are_those_of_the_publication(original: Labels) -> None:
    table = original.table
    assert len(original.given_splits) == 141
    assert table["scan_id"].nunique() == 153  # seven of the 160 series show cervical vertebrae only
    assert table["genant_grade"].value_counts().to_dict() == {0: 1195, 1: 142, 2: 96, 3: 51}
    assert table.loc[~table["usable"], "reason"].value_counts().to_dict() == {"foreign_material": 31}


@pytest.mark.shared
def test_the_official_split_is_by_patient(original: Labels) -> None:
    tidy = pd.read_csv(FOLDER / "verse19_genant_tidy.csv", dtype=str).drop_duplicates("subject_ID")
    names = {"training": "train", "validation public": "validation", "test secret": "test"}
    official = {
        f"verse{int(subject):03d}": names[dataset]
        for subject, dataset in zip(tidy["subject_ID"], tidy["dataset"], strict=True)
    }
    assert {patient: original.given_splits[patient] for patient in official} == official


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a small grade sheet; each row is given as the cells that are not empty."""

    def _write(*rows: dict[str, Any], columns: list[str] = COLUMNS) -> Path:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.title = SHEET
        sheet.append(columns)
        for row in rows:
            sheet.append([row.get(column) for column in columns])
        path = tmp_path / "grades.xlsx"
        book.save(path)
        return path

    return _write


ROW = {"verse_ID": 253, "subject_ID": 401, "dataset": "training", "T12_fx-g": 2, "T12_fx-s": 1}


def test_ids_follow_the_file_names_of_verse(write: Callable[..., Path]) -> None:
    row = read_verse19(write(ROW)).table.loc[0]
    assert (row["patient_id"], row["scan_id"], row["vertebra"], row["shape"]) == ("verse401", "verse253", 19, "wedge")


def test_a_sheet_saved_by_another_program_is_read(write: Callable[..., Path]) -> None:
    table = read_verse19(write(ROW | {"verse_ID": 253.0, "subject_ID": 401.0, "L1_fx-g": " X", "L1_fx-s": "x"})).table
    assert table[["patient_id", "scan_id"]].to_numpy().tolist() == [["verse401", "verse253"]] * 2
    assert table["reason"].tolist() == ["", "foreign_material"]


def test_all_faults_of_a_sheet_are_reported_with_their_rows(write: Callable[..., Path]) -> None:
    path = write(
        ROW,
        ROW | {"verse_ID": 7, "dataset": "test secret"},
        ROW | {"verse_ID": 8, "subject_ID": 8, "T12_fx-g": 4},
        ROW | {"verse_ID": 253, "dataset": "holdout"},
        ROW | {"verse_ID": "nine"},
        ROW | {"verse_ID": 9, "subject_ID": "ten"},
        ROW | {"verse_ID": 10, "subject_ID": 10, "T12_fx-s": 9},
    )
    with pytest.raises(LabelError) as caught:
        read_verse19(path)
    expected = [
        "row 3: subject 401 is in test here and in train above",
        "row 4: T12 has grade 4",
        "row 5: verse_ID 253 is already on row 2",
        "row 5: dataset 'holdout'",
        "row 6: verse_ID 'nine'",
        "row 7: verse_ID 9 and subject_ID 'ten'",
        "row 8: T12 has",
    ]
    assert [part for part in expected if part not in str(caught.value)] == []


def test_another_workbook_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(LabelError, match="columns are missing: subject_ID"):
        read_verse19(write({"verse_ID": 1}, columns=["verse_ID"]))


def test_a_workbook_without_the_sheet_is_refused_and_the_right_one_read_by_its_suffix(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    assert read_labels([str(write(ROW))]).table["scan_id"].tolist() == ["verse253"]
    openpyxl.Workbook().save(tmp_path / "other.xlsx")
    with pytest.raises(
        LabelError, match=r"other\.xlsx: not the grade sheet of VerSe'19 .* save a table of yours as CSV"
    ):
        read_labels([str(tmp_path / "other.xlsx")])


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.xlsx").write_text("patient_id,scan_id")
    with zipfile.ZipFile(tmp_path / "zip.xlsx", "w") as archive:
        archive.writestr("a.txt", "x")
    for name in ("text.xlsx", "zip.xlsx", "none.xlsx"):
        with pytest.raises(LabelError, match=rf"{name}: cannot read the VerSe'19 sheet"):
            read_labels([str(tmp_path / name)])
