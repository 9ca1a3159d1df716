"""The script of the rule: a folder per scan, and a table of what is in each and what is not."""

import csv
from pathlib import Path

import numpy as np

from helpers.exported import Exported
from helpers.nifti import write_nifti
from helpers.script_jobs import run_script
from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import write_json
from vertegrade.workflow.manifest import manifest_path

PIXELS = (60, 60, 60)
AFFINE = np.array([[0.9, 0, 0, -24.0], [0, 0.7, 0, -41.0], [0, 0, 2.0, -95.0], [0, 0, 0, 1.0]])


def test_the_table_of_scans_says_what_is_not_there(exported: Exported, tmp_path: Path) -> None:
    results = tmp_path / "results"
    scan = write_nifti(tmp_path / "scan.nii.gz", np.zeros(PIXELS, np.int16), AFFINE)
    failed = exported.scan | {"scan_id": "s2", "state": "failed", "reason": "bad_pixels", "vertebrae": []}
    write_json(results / "patients/p1.json", {"scans": [exported.scan, failed]})
    write_json(manifest_path(results, "grade", {"method": "dae"}), {"finished": "2026-11-29T01:02:03+00:00"})
    write_json(results / "model/grading/dae/hyperplane.json", {"fracture_grade": 1})
    (results / "predictions").mkdir()
    (results / "predictions/dae.parquet").touch()
    (results / "localization/0").mkdir(parents=True)
    rows = [ScanRow(name, "p1", str(scan)).plain({"scan_id", "patient_id", "path"}) for name in ("s1", "s2")]
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
        {"folder": str(tmp_path / "export/0")},
        params={"rows": rows, "method": "dae", "write": ["spineps", "sr"]},
        wildcards={"shard": "0"},
        sections=["ct", "dae.model.hu_low", "dae.model.hu_high", "report.window_centre_hu", "report.window_width_hu"],
    )
    with (tmp_path / "export/0/scans.tsv").open(encoding="utf-8", newline="") as file:
        table = {row["scan_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert table["s1"]["files"] == "spineps.nii.gz"
    assert table["s1"]["why_no_dicom"].startswith("a NIfTI")
    assert table["s1"]["not_in_label_maps"] == ""
    assert (table["s2"]["files"], table["s2"]["why_no_dicom"]) == ("", "the scan is failed: bad_pixels")
