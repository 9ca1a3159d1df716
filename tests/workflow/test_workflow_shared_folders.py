"""New files in a folder that scans share with others: those of other series are no scan's concern, all others are."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from helpers.series import SERIES_UID, body_hu, write_series
from vertegrade.ct.headers import series_code
from vertegrade.workflow.shared_folders import of_other_series


def with_uid(uid: str, *removed: str) -> object:
    def change(dataset: Dataset, number: int) -> None:
        dataset.SeriesInstanceUID = uid
        for name in removed:
            delattr(dataset, name)

    return change


@pytest.fixture
def dump(tmp_path: Path) -> dict[str, str]:
    """Paths of a slice of the scan's own series, of another one, and of files that do not tell, by what they are."""
    folder = tmp_path / "dump"
    write_series(folder / "own", body_hu(3))
    write_series(folder / "other", body_hu(3), change=with_uid("1.2.3"))
    write_series(folder / "no modality", body_hu(3), change=with_uid("1.2.3", "Modality"))
    files = {path.name: str(sorted(path.iterdir())[0]) for path in sorted(folder.iterdir())}
    for name, content in {
        "notes.txt": b"text",
        "empty.dcm": b"",
        "cut.dcm": Path(files["other"]).read_bytes()[:400],
    }.items():
        (folder / name).write_bytes(content)
        files[name] = str(folder / name)
    return files


def rows(folder: str, *series: str) -> dict[str, object]:
    return {"rows": [{"scan_id": f"s{n}", "path": folder, "series": code} for n, code in enumerate(series)]}


def test_files_of_other_series_in_a_shared_folder_are_no_concern(dump: dict[str, str], tmp_path: Path) -> None:  # B11
    mine, other = series_code(SERIES_UID), series_code("1.2.3")
    folder = f"{tmp_path}/dump"
    assert of_other_series(dump.values(), rows(folder, mine)) == {dump["other"]}
    assert of_other_series(dump.values(), rows(folder, mine, other)) == set()
    assert of_other_series(dump.values(), rows(folder, "another")) == {dump["own"], dump["other"]}


def test_without_a_series_in_the_sheet_every_new_file_counts(dump: dict[str, str], tmp_path: Path) -> None:
    folder = f"{tmp_path}/dump"
    assert of_other_series(dump.values(), rows(folder, "")) == set()
    assert of_other_series(dump.values(), rows(folder, series_code(SERIES_UID), "")) == set()
    assert of_other_series(dump.values(), rows(f"{tmp_path}/elsewhere", "another")) == set()
    assert of_other_series(dump.values(), {}) == set()
