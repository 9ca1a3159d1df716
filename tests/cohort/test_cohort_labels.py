"""Label tables as people write them."""

from pathlib import Path

import pandas as pd
import pytest

from vertegrade.cohort.coverage import label_coverage
from vertegrade.cohort.labels import (
    LabelError,
    Labels,
    check_patients,
    join_labels,
    labels_from_truth,
    read_label_table,
)
from vertegrade.cohort.sources import read_labels

HEADER = "patient_id,scan_id,vertebra,genant_grade\n"


def read(folder: Path, text: str, name: str = "labels.csv") -> Labels:
    path = folder / name
    path.write_bytes(text.encode())
    return read_label_table(path)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(LabelError) as caught:
        read(folder, text)
    return str(caught.value)


def test_bom_crlf_semicolon_quotes_and_leading_zeros(tmp_path: Path) -> None:
    text = '\ufeff"patient_id";scan_id;vertebra;genant_grade;shape\r\n"007";0042;T12;2;Wedge\r\n007;0042;20;0;\r\n'
    table = read(tmp_path, text).table
    assert table["patient_id"].tolist() == ["007", "007"]
    assert table["scan_id"].tolist() == ["0042", "0042"]
    assert table["vertebra"].tolist() == [19, 20]
    assert table["genant_grade"].tolist() == [2.0, 0.0]
    assert table["shape"].tolist() == ["wedge", ""]


def test_tabs_and_any_column_order(tmp_path: Path) -> None:
    table = read(tmp_path, "genant_grade\tvertebra\tscan_id\tpatient_id\n3.0\tl1\ts\tp\n", "labels.tsv").table
    assert table.loc[0, ["vertebra", "genant_grade"]].tolist() == [20, 3.0]


@pytest.mark.parametrize(
    ("cell", "reason"), [("x", "excluded_by_reader"), ("", "grade_missing"), ("0.5", "grade_borderline")]
)
def test_grades_that_are_none_are_kept_as_unusable_with_a_reason(tmp_path: Path, cell: str, reason: str) -> None:
    row = read(tmp_path, HEADER + f"p,s,T12,{cell}\n").table.loc[0]
    assert (row["usable"], row["reason"]) == (False, reason)
    assert pd.isna(row["genant_grade"])


def test_every_problem_is_reported_with_its_line(tmp_path: Path) -> None:
    message = problems(
        tmp_path,
        HEADER + "p,s,T12,4\np,s,Q1,0\n../p,s2,L1,mild\np,s,L2,1\np,s,L2,1\nq,s,L3,0\np,s,L4\n",
    )
    expected = [
        "line 2: genant_grade '4'",
        "line 3: vertebra 'Q1'",
        "line 4: patient_id '../p'",
        "line 4: genant_grade 'mild'",
        "line 6: L2 of scan 's' is already on line 5",
        "line 7: scan 's' belongs to patient 'p' above, to 'q' here",
        "line 8: 3 cells",
    ]
    assert [part for part in expected if part not in message] == []


def test_an_excel_date_is_no_grade(tmp_path: Path) -> None:
    assert "genant_grade '2026-01-02'" in problems(tmp_path, HEADER + "p,s,T12,2026-01-02\n")


def test_missing_and_unknown_columns_are_named(tmp_path: Path) -> None:
    message = problems(tmp_path, "patient_id,scan_id,level,genant_grade\np,s,T12,0\n")
    assert "'vertebra' is missing" in message
    assert "unknown column 'level'" in message


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    assert "no rows" in problems(tmp_path, HEADER)


def test_splits_come_with_the_table_and_may_not_contradict(tmp_path: Path) -> None:
    text = "patient_id,scan_id,vertebra,genant_grade,split\np,s,T12,0,test\np,s,L1,0,\nq,t,L1,0,\n"
    assert read(tmp_path, text).given_splits == {"p": "test"}
    assert "'train' here, 'test' above" in problems(tmp_path, text + "p,s,L2,0,train\n")


def test_two_tables_may_not_grade_the_same_vertebra(tmp_path: Path) -> None:
    one, two = read(tmp_path, HEADER + "p,s,T12,0\n"), read(tmp_path, HEADER + "p,s,T12,1\np,s,L1,1\n")
    with pytest.raises(LabelError, match="T12 of scan 's' is graded by two label tables"):
        join_labels([one, two])


def test_several_tables_are_read_as_one(tmp_path: Path) -> None:
    for name, scan in (("all.csv", "a"), ("own.csv", "b")):
        (tmp_path / name).write_text(HEADER + f"p,{scan},T12,1\n")
    table = read_labels([str(tmp_path / name) for name in ("own.csv", "all.csv")]).table
    assert table["scan_id"].tolist() == ["a", "b"]


def test_a_scan_with_another_patient_in_the_cohort_is_refused(tmp_path: Path) -> None:
    labels = read(tmp_path, HEADER + "p,a,T12,1\n").table
    with pytest.raises(LabelError, match="scan 'a': patient 'q' in the sample sheet, 'p' in the labels"):
        check_patients(labels, pd.DataFrame({"scan_id": ["a"], "patient_id": ["q"]}))


def test_no_labels_at_all_is_said_plainly() -> None:
    with pytest.raises(LabelError, match=r"set cohort\.labels"):
        read_labels([])


def test_phantom_truth_gives_labels_with_height_loss_and_drops_cut_vertebrae() -> None:
    truth = pd.DataFrame(
        {
            "patient_id": "p",
            "scan_id": "s",
            "vertebra": [8, 9],
            "genant_grade": [0, 2],
            "shape": ["", "wedge"],
            "height_loss": [0.05, 0.3],
            "complete": [False, True],
        }
    )
    table = labels_from_truth(truth)
    assert table["usable"].tolist() == [False, True]
    assert table["reason"].tolist() == ["vertebra_incomplete", ""]
    assert table["height_loss"].tolist() == [0.05, 0.3]


def test_coverage_accounts_for_every_vertebra_and_every_label(tmp_path: Path) -> None:
    crops = pd.DataFrame(
        {
            "patient_id": "p",
            "scan_id": "s",
            "vertebra": [8, 9, 10, 11],
            "evaluable": [True, True, True, False],
            "reason": ["", "", "", "outside"],
        }
    )
    labels = read(tmp_path, HEADER + "p,s,T1,1\np,s,T2,x\np,s,T4,0\np,s,L5,0\np,gone,L5,0\nelse,where,L5,0\n").table
    splits = pd.DataFrame({"patient_id": ["p"], "split": ["train"]})
    table = label_coverage(crops, labels, splits)
    found = dict(zip(zip(table["scan_id"], table["vertebra"], strict=True), table["state"], strict=True))
    assert found == {
        ("s", 8): "labelled",
        ("s", 9): "excluded",
        ("s", 10): "unlabelled",
        ("s", 11): "not_evaluable",
        ("s", 24): "no_vertebra",
        ("gone", 24): "no_scan",
    }
    assert table.set_index(["scan_id", "vertebra"]).loc[("s", 9), "reason"] == "excluded_by_reader"


def test_labels_that_are_no_utf_8_text_say_which_setting_to_check(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes((HEADER + "pä,s,T12,0\n").encode("latin-1"))
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(LabelError, match=r"cannot be read .*check cohort\.labels"):
            read_label_table(path)
    with pytest.raises(LabelError, match=r"latin\.csv: not a text in UTF-8; save the table as CSV in UTF-8"):
        read_label_table(tmp_path / "latin.csv")


def test_a_quote_that_never_ends_is_no_row(tmp_path: Path) -> None:
    assert "is no row of a table" in problems(tmp_path, HEADER + 'p,s,T12,"0\n' + "p,s,L1,0\n" * 20_000)


def test_unknown_shapes_and_splits_are_told(tmp_path: Path) -> None:
    header = "patient_id,scan_id,vertebra,genant_grade,shape,split\n"
    assert read(tmp_path, header + "p,s,T12,1,2,test\n").table["shape"].tolist() == ["biconcave"]
    message = problems(tmp_path, header + "p,s,T12,1,round,\nq,t,T12,1,,holdout\n")
    assert "line 2: shape 'round' is unknown" in message
    assert "line 3: split 'holdout' must be one of" in message


def test_two_tables_may_not_split_a_patient(tmp_path: Path) -> None:
    header = "patient_id,scan_id,vertebra,genant_grade,split\n"
    one, two = read(tmp_path, header + "p,s,T12,0,train\n"), read(tmp_path, header + "p,t,T12,0,test\n")
    with pytest.raises(LabelError, match="patient 'p' is 'train' in one label table, 'test' in another"):
        join_labels([one, two])


def test_a_parquet_that_is_no_truth_of_phantoms_is_refused_by_name(tmp_path: Path) -> None:
    pd.DataFrame({"patient_id": ["p"]}).to_parquet(tmp_path / "grades.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    for name in ("grades.parquet", "torn.parquet", "none.parquet"):
        with pytest.raises(LabelError, match=rf"(?s){name}: not the truth table of phantoms.*give a CSV"):
            read_labels([str(tmp_path / name)])


def test_blank_rows_are_passed_over(tmp_path: Path) -> None:
    assert len(read(tmp_path, HEADER + "p,s,T12,0\n\n , ,,\np,s,L1,0\n").table) == 2
