"""The sample sheet: forgiving about form, strict about content."""

from pathlib import Path

import pytest

from vertegrade.cohort.months import follow_up_pairs
from vertegrade.cohort.sheet import SheetError, has_splits, read_sheet, shard_of, sheet_rows, splits_of


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "sheet.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_bom_crlf_semicolon_and_quotes_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffscan_id;patient_id;path\r\n"007";01;"a b/ü.zip"\r\n')
    row = read_sheet(path)[0]
    assert (row.scan_id, row.patient_id, row.path) == ("007", "01", "a b/ü.zip")


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "scan_id,patient_id,path,split\na_1,p,x,\nb,p,,train\nb,p,y,test\n")
    with pytest.raises(SheetError) as caught:
        read_sheet(path)
    message = str(caught.value)
    for part in ("line 2: scan_id 'a_1'", "line 3: path is empty", "line 4: scan_id 'b'", "line 4: patient 'p'"):
        assert part in message


def test_unknown_and_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"'path' is missing.*unknown column 'file'"):
        read_sheet(write(tmp_path, "scan_id,patient_id,file\na,p,x\n"))


def test_an_empty_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="no scans"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path\n"))


def test_a_missing_sheet_says_which_setting_to_check(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"cohort\.sheet"):
        read_sheet(tmp_path / "none.csv")


def test_the_shard_of_a_scan_depends_on_its_id_alone() -> None:
    assert [shard_of(f"scan{i}", 8) for i in range(6)] == ["3", "4", "2", "4", "0", "6"]
    assert {shard_of(f"scan{i}", 12) for i in range(200)} == {f"{number:02d}" for number in range(12)}


def test_lines_are_those_of_the_file_whatever_lies_between(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffscan_id;patient_id;path\r\na;p;x\r\n\r\n;;\r\nb;p;"y\r\nz"\r\nb;p_1;y\r\n')
    rows, problems = sheet_rows(path)
    assert {line: row.scan_id for line, row in rows.items()} == {2: "a", 6: "b", 7: "b"}
    assert problems == [
        "line 6: path contains a line break or another control character; rename it",
        "line 7: patient_id 'p_1' must be letters, digits and hyphens",
        "line 7: scan_id 'b' is already on line 6",
    ]


def test_rows_that_are_too_long_and_columns_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="line 3: 4 cells, the header has 3; quote a path"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path\na,p,x\nb,p,y,z\n"))
    with pytest.raises(SheetError, match="column 'path' is there twice"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path,path\na,p,x,y\n"))
    with pytest.raises(SheetError, match="line 2 is no row"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path\na,p," + "x" * 200_000 + "\n"))


def test_the_code_of_a_series_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"line 2: series '1\.2\.3' must be a code"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path,series\na,p,x,1.2.3\n"))


def test_which_label_tables_bring_splits(tmp_path: Path) -> None:
    tables = {
        "with.csv": b"patient_id;scan_id;split;vertebra\r\n",
        "quoted.csv": b'"patient_id","split"\n',
        "without.csv": b"patient_id,scan_id,vertebra\np,split,L1\n",
        "latin.csv": "pä,split\n".encode("latin-1"),
    }
    for name, content in tables.items():
        (tmp_path / name).write_bytes(content)
    names = [*tables, "none.csv", "verse19.xlsx", "VERSE19.XLSX"]
    assert [has_splits(str(tmp_path / name)) for name in names] == [True, True, False, False, False, True, True]


def test_a_sheet_that_is_no_utf_8_or_has_an_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"save the table as CSV in UTF-8 \(cohort\.sheet\)"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path\na,p,ä\n", "latin-1"))
    with pytest.raises(SheetError, match="line 2: split 'holdout' must be one of"):
        read_sheet(write(tmp_path, "scan_id,patient_id,path,split\na,p,x,holdout\n"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("patient_id;split\np;train\nq;\np;train\n", {"p": "train"}),
        ("patient_id,grade\np,1\n", {}),
        ("patient_id,split\np,train\np,test\n", None),
        ("patient_id,split\np,train,x\n", None),
        ("patient_id,split\np,holdout\n", None),
        ("name,split\np,train\n", None),
    ],
)
def test_splits_of_a_label_table_are_plain_or_left_to_the_rule_that_reads_it(
    text: str, found: dict[str, str] | None, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    assert splits_of(str(tmp_path / "labels.csv")) == found


def sheet_with(folder: Path, *rows: str) -> Path:
    return write(folder, "\n".join(["scan_id,patient_id,path,months", *rows]) + "\n")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["a,p,x,-3"], "line 2: months '-3' must be a number, 0 or more"),
        (["a,p,x,nan"], "line 2: months 'nan' must be a number"),
        (["a,p,x,1e3"], "line 2: months '1e3' must be a number"),
        (["a,p,x,12", "b,p,y,12.0"], "line 3: months 12.0 of patient 'p' is also that of line 2; "),
        (["a,p,x,", "b,p,y,12"], "line 2: months is empty, and line 3 of the same patient 'p' has it; give it for all"),
    ],
)
def test_months_that_say_nothing_are_refused_with_line_and_remedy(
    rows: list[str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(SheetError) as caught:
        read_sheet(sheet_with(tmp_path, *rows))
    assert str(caught.value).startswith(f"{tmp_path}/sheet.csv:\n{problem}")
    assert str(caught.value).count("line 2: months") + str(caught.value).count("line 3: months") == 1


def test_a_scan_is_compared_with_the_one_before_it_and_with_the_first(tmp_path: Path) -> None:
    rows = read_sheet(sheet_with(tmp_path, "c,p,x,24", "a,p,y,0", "b,p,z,10", "d,q,u,0", "e,r,v,"))
    assert [row.months for row in rows] == ["24", "0", "10", "0", ""]
    assert rows[0].plain(["path"])["months"] == ""  # so that no scan is read again
    assert follow_up_pairs(rows) == [
        ("p", "a", "b", 0.0, 10.0),
        ("p", "a", "c", 0.0, 24.0),
        ("p", "b", "c", 10.0, 24.0),
    ]
