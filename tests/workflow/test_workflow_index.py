"""From a folder to grades as a person does it: index, complete the sheet, check, run. Counts reconcile, names stay."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from planted import WORD, found_in, plant
from workflow.runs import ROOT, finished_tiny, snakemake

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    """A finished run in `folder` on a cohort indexed from `folder/in`; what all its programs printed."""

    folder: Path
    files: int
    planted_tags: int
    check: subprocess.CompletedProcess[str]
    printed: str


def script(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make index` and `make check-cohort` run."""
    command = [sys.executable, str(ROOT / "workflow_scripts" / name), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def planted_copy(series: list[Path], folder: Path, name: str) -> int:
    """Slices of a phantom, with a person in every text tag."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for number, file in enumerate(series):
        dataset = pydicom.dcmread(file)
        count = plant(dataset, name)
        dataset.save_as(folder / f"{name}-{number:04d}.dcm")
    return count


def from_feet_to_head(series: Path) -> list[Path]:
    """Slices of a phantom in the order of their positions, which neither names nor numbers need to follow."""

    def height(file: Path) -> float:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["ImagePositionPatient"])
        return float(header.ImagePositionPatient[2])

    return sorted(series.iterdir(), key=height)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two good scans in one folder, one without its landmarks, one with a hole, and what else lies in such folders."""
    tiny, folder = finished_tiny(tmp_path_factory), tmp_path_factory.mktemp("indexed")
    phantoms = sorted(path for path in (tiny / "results/phantom").glob("*/dicom/*") if path.is_dir())
    phantoms.sort(key=lambda path: len(list(path.iterdir())))
    slices = [from_feet_to_head(path) for path in phantoms[:2]]
    top = folder / "in"
    count = planted_copy(slices[0], top / "mixed", "1")
    for file in slices[1]:
        shutil.copy(file, top / "mixed")
    planted_copy(slices[0][:12], top / "deep/er/unmarked", "3")
    planted_copy([*slices[0][:8], *slices[0][10:16]], top / "hole", "4")
    planted_copy(slices[0][:3], top / "short", "5")
    with zipfile.ZipFile(top / "torn.zip", "w") as archive:
        archive.write(slices[0][0], "a.dcm")
    (top / "torn.zip").write_bytes((top / "torn.zip").read_bytes()[:900])
    (top / "deep/readme.txt").write_text("x")
    files = sum(path.is_file() for path in top.rglob("*"))
    index = script(folder, "index.py", "in")
    assert index.returncode == 0, index.stdout + index.stderr
    centroids = [
        next(path.parent.parent.glob(f"annotations/{path.name}_seg-vb_ctd.json"), None) for path in phantoms[:2]
    ]
    complete_sheet(folder / "scans.csv", centroids)
    config = {
        "cohort": {"sheet": "scans.csv", "shards": 1},
        "run": {"model": str(tiny / "results")},
        "localize": {"method": "provided"},
    }
    (folder / "check.yaml").write_text(json.dumps(config))
    check = script(folder, "check_cohort.py", "check.yaml")
    done = snakemake(folder, "--cores", "2", config=config)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    printed = "".join(part for job in (index, check, done) for part in (job.stdout, job.stderr))
    return Run(folder, files, count, check, printed)


def complete_sheet(sheet: Path, centroids: list[Path | None]) -> None:
    """What a person does: name the centroids of the two scans of the folder `mixed`, found by their key file."""
    with sheet.with_suffix(".key.tsv").open(encoding="utf-8") as file:
        next(file)
        ours = {row["scan_id"] for row in csv.DictReader(file, delimiter="\t") if row["PatientID"].startswith(WORD)}
    with sheet.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["path"] == "in/mixed":
            assert row["series"]
            row["centroids"] = str(centroids[0 if row["scan_id"] in ours else 1])
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_counts_reconcile_from_files_to_grades(run: Run) -> None:
    flow = json.loads((run.folder / "results/report/flow.json").read_text())
    index, scans, bones = flow["index"], flow["all"]["scans"], flow["all"]["vertebrae"]
    assert index["files"]["found"] == run.files
    assert index["files"]["left_out"] == {"not_dicom": 1, "zip": 1}
    assert index["files"]["ct"] == run.files - 2
    assert index["images"] == {"found": 5, "left_out": {"too_few_slices": 1}, "scans": 4}
    assert scans == {
        "in_sheet": 4,
        "not_converted": {"missing_slices (failed)": 1},
        "converted": 3,
        "not_localized": {"no_landmarks (excluded)": 1},
        "localized": 2,
    }
    predictions = pd.read_parquet(run.folder / "results/predictions/dae.parquet")
    assert bones["graded"] == predictions["evaluable"].sum() > 0
    assert bones["found"] - sum(bones["not_cropped"].values()) - sum(bones["not_graded"].values()) == bones["graded"]
    assert predictions["scan_id"].nunique() == 2
    table = pd.read_csv(run.folder / "results/report/flow.tsv", sep="\t", keep_default_na=False)
    counts = table[table["left_out"] == ""].set_index("step")["count"]
    assert (counts["Files found"], counts["Vertebrae graded"]) == (run.files, bones["graded"])


def test_the_check_told_beforehand_which_scans_would_be_left_out(run: Run) -> None:
    assert run.check.returncode == 1
    told = [line for line in run.check.stdout.splitlines() if "scans.csv line" in line]
    assert len(told) == 2  # the scans without landmarks; a hole shows only when the slices are put together
    assert all("neither mask nor centroids" in line for line in told)


def test_no_planted_name_date_or_id_is_in_any_output(run: Run) -> None:
    assert run.planted_tags > 700
    files = [file for file in run.folder.rglob("*") if file.is_file() and not file.is_relative_to(run.folder / "in")]
    assert {"scans.csv", "scans.index.json"} < {file.name for file in files}
    assert [file for file in files if file.parent.name == "manifest" or "manifest" in file.parts]
    assert found_in([run.folder / "scans.key.tsv"])  # the search finds what is there
    assert found_in([next((run.folder / "in/mixed").glob("1-*"))])
    assert found_in([file for file in files if file.name != "scans.key.tsv"]) == []
    printed = run.folder / "printed.txt"
    printed.write_text(run.printed)
    assert found_in([printed]) == []
