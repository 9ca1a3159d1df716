"""Marks of quality control: what a person says of scans, and what follows."""

from pathlib import Path

import pytest

from vertegrade.cohort.qc import QcMark, read_marks, take_mark
from vertegrade.cohort.sheet import SheetError
from vertegrade.reasons import REASONS, Notes, Refused

SCANS = {"a1", "a2", "b1"}


def table(folder: Path, *rows: str, header: str = "scan_id\tmark\tnote") -> Path:
    path = folder / "qc.tsv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_marks_and_notes_are_read_also_from_csv(tmp_path: Path) -> None:
    rows = ("a1\tpass\t", "a2\tdoubt\tlevels, by one?", 'b1\t\t"he said ""no"""')
    marks = read_marks(table(tmp_path, *rows), SCANS)
    assert marks == {
        "a1": QcMark("pass", ""),
        "a2": QcMark("doubt", "levels, by one?"),
        "b1": QcMark("", 'he said "no"'),
    }
    assert read_marks(table(tmp_path, "b1,fail", header="scan_id,mark"), SCANS) == {"b1": QcMark("fail", "")}
    assert read_marks("", SCANS) == {}


def test_all_that_is_wrong_is_one_error_by_line(tmp_path: Path) -> None:
    with pytest.raises(SheetError) as error:
        read_marks(table(tmp_path, "a1\tFAIL\t", "a1\tpass\t", "c1\tpass\t"), SCANS)
    first, *lines = str(error.value).splitlines()
    assert first.endswith("qc.tsv (cohort.qc):")
    assert lines == [
        "line 2: mark 'FAIL' must be one of pass, doubt, fail or empty",
        "line 3: scan 'a1' has a mark already; keep one of its rows",
        "line 4: scan 'c1' is not in the cohort; correct its scan_id or remove the row",
    ]
    with pytest.raises(SheetError, match="column 'mark' is missing"):
        read_marks(table(tmp_path, "a1\t", header="scan_id\tnote"), SCANS)
    with pytest.raises(SheetError, match=r"check cohort\.qc in the config"):
        read_marks(tmp_path / "none.tsv", SCANS)


def test_fail_excludes_doubt_flags_and_pass_changes_nothing() -> None:
    marks = {"a1": "fail", "a2": "doubt"}
    notes = Notes(flags={"metal"})
    with pytest.raises(Refused) as refused:
        take_mark(marks, "a1", notes)
    assert (refused.value.reason, refused.value.state) == ("qc_fail", "excluded")
    assert "qc_fail" in REASONS
    take_mark(marks, "b1", notes)
    assert notes.flags == {"metal"}
    take_mark(marks, "a2", notes)
    assert notes.flags == {"metal", "qc_doubt"}
