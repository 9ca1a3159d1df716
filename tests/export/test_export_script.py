"""The script of the rule: a folder per scan, and a table of what is in each and what is not."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.exported import Exported
from helpers.nifti import write_nifti
from helpers.script_jobs import run_script
from vertegrade.cohort.sheet import ScanRow
from vertegrade.export import scan as scan_module
from vertegrade.export.scan import COLUMNS
from vertegrade.files import write_json
from vertegrade.workflow.manifest import manifest_path

PIXELS = (60, 60, 60)
AFFINE = np.array([[0.9, 0, 0, -24.0], [0, 0.7, 0, -41.0], [0, 0, 2.0, -95.0], [0, 0, 0, 1.0]])


def run_export(exported: Exported, base: Path, scans: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """scans.tsv by scan id: of a NIfTI as the source of each of these scans of a record."""
    results = base / "results"
    scan = write_nifti(base / "scan.nii.gz", np.zeros(PIXELS, np.int16), AFFINE)
    write_json(results / "patients/p1.json", {"scans": scans})
    write_json(manifest_path(results, "grade", {"method": "dae"}), {"finished": "2026-11-29T01:02:03+00:00"})
    write_json(results / "model/grading/dae/hyperplane.json", {"fracture_grade": 1})
    (results / "predictions").mkdir()
    (results / "predictions/dae.parquet").touch()
    (results / "localization/0").mkdir(parents=True)
    names = [each["scan_id"] for each in scans]
    rows = [ScanRow(name, "p1", str(scan)).plain({"scan_id", "patient_id", "path"}) for name in names]
    run_script(
        results,
        "export_scans",
        {
            "volumes": str(exported.volume.parent),
            "patients": str(results / "patients"),
            "pictures": str(results / "localization/0"),
            "strips": [],
            "predictions": str(results / "predictions/dae.parquet"),
            "hyperplane": str(results / "model/grading/dae/hyperplane.json"),
        },
        {"folder": str(base / "export/0")},
        params={"rows": rows, "method": "dae", "write": ["spineps", "sr"]},
        wildcards={"shard": "0"},
        sections=["ct", "dae.model.hu_low", "dae.model.hu_high", "report.window_centre_hu", "report.window_width_hu"],
    )
    with (base / "export/0/scans.tsv").open(encoding="utf-8", newline="") as file:
        return {row["scan_id"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_the_table_of_scans_says_what_is_not_there(exported: Exported, tmp_path: Path) -> None:
    failed = exported.scan | {"scan_id": "s2", "state": "failed", "reason": "bad_pixels", "vertebrae": []}
    table = run_export(exported, tmp_path, [exported.scan, failed])
    assert table["s1"]["files"] == "spineps.nii.gz"
    assert table["s1"]["why_no_dicom"].startswith("a NIfTI")
    assert table["s1"]["not_in_label_maps"] == ""
    assert table["s1"]["tags_changed"] == table["s1"]["error"] == ""
    assert (table["s2"]["files"], table["s2"]["why_no_dicom"]) == ("", "the scan is failed: bad_pixels")


def ended(results: Path, rows: list[list[str]]) -> str:
    """What the rule `export` says of a shard with these rows of scans.tsv."""
    folder = results.parent / "export/0"
    folder.mkdir(parents=True)
    with (folder / "scans.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["scan_id", "files", *COLUMNS], *rows])
    said = results.parent / "export/outcome.txt"
    run_script(results, "export", {"": str(folder)}, {"": str(said)}, params={}, wildcards={}, sections=[])
    return said.read_text(encoding="utf-8")


def test_an_export_without_errors_ends_well(tmp_path: Path) -> None:
    rows = [["s1", "sr.dcm", "", "", "", ""], ["s2", "", "a NIfTI", "", "", ""]]
    assert ended(tmp_path / "results", rows) == "2 scans, 1 of them without DICOM (see scans.tsv)\n"


def test_an_error_of_the_program_fails_the_run_and_not_the_shard(tmp_path: Path) -> None:
    rows = [["s1", "sr.dcm", "", "", "", ""], ["s2", "", "an error of the program", "", "", "TypeError at x.py:1"]]
    with pytest.raises(SystemExit, match=r"s2 \(TypeError at x.py:1\)"):
        ended(tmp_path / "results", rows)
    assert not (tmp_path / "export/outcome.txt").exists()


def test_an_error_at_one_scan_leaves_the_others(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def findings_of(scan: dict[str, Any], *others: Any) -> list[Any]:
        if scan["scan_id"] == "s2":
            raise TypeError("odd")
        return []

    monkeypatch.setattr(scan_module, "findings_of", findings_of)
    second = exported.scan | {"scan_id": "s2"}
    table = run_export(exported, tmp_path, [exported.scan, second])
    assert table["s2"]["why_no_dicom"] == "an error of the program"
    assert table["s2"]["error"].startswith("TypeError at test_export_script.py:")
    assert table["s1"]["why_no_dicom"].startswith("a NIfTI")
