"""From a folder to grades as a person does it: index, complete the sheet, check, run. Counts reconcile, names stay."""

import base64
import csv
import gzip
import itertools
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.person import NAME, WORD, found_in, plant
from helpers.runs import Config, finished_tiny, snakemake
from vertegrade.annotations.verse import centroid_labels
from vertegrade.levels import NAMES

pytestmark = pytest.mark.slow


# Splits of the scans that have landmarks; the first two lie in one folder. The least that a training needs.
SPLITS = ["test", "train", "train", "train", "train", "validation", "validation", "test"]
CONFIG: Config = {
    "cohort": {"sheet": "scans.csv", "labels": "labels.csv", "shards": 1},
    "localize": {"method": "provided"},
    "dae": {"train": {"steps": 2}, "counterfactual": {"vertebrae": 2, "rounds": 1, "render_steps": 2}},
}


@dataclass(frozen=True)
class Run:
    """A finished run in `folder` on a cohort indexed from `folder/in`; what all its programs printed."""

    folder: Path
    files: int
    planted_tags: int
    check: subprocess.CompletedProcess[str]
    printed: str


def vertegrade(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make index` and `make check-cohort` run."""
    command = [sys.executable, "-m", "vertegrade.commands", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


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
    """Good scans, two of them in one folder, one without its landmarks, one with a hole, and what else lies about."""
    tiny, folder = finished_tiny(tmp_path_factory), tmp_path_factory.mktemp("indexed")
    phantoms = sorted(path for path in (tiny / "results/phantom").glob("*/dicom/*") if path.is_dir())
    phantoms.sort(key=lambda path: len(list(path.iterdir())))
    del phantoms[len(SPLITS) :]
    slices = [from_feet_to_head(path) for path in phantoms]
    top = folder / "in"
    count = planted_copy(slices[0], top / "mixed", "1")
    for file in slices[1]:
        shutil.copy(file, top / "mixed")
    for number in range(2, len(SPLITS)):
        planted_copy(slices[number], top / f"others/{number}", f"1{number}")
    planted_copy(slices[0][:12], top / "deep/er/unmarked", "3")
    planted_copy([*slices[0][:8], *slices[0][10:16]], top / "hole", "4")
    planted_copy(slices[0][:3], top / "short", "5")
    with zipfile.ZipFile(top / "torn.zip", "w") as archive:
        archive.write(slices[0][0], "a.dcm")
    (top / "torn.zip").write_bytes((top / "torn.zip").read_bytes()[:900])
    (top / "deep/readme.txt").write_text("x")
    files = sum(path.is_file() for path in top.rglob("*"))
    jobs = [vertegrade(folder, "index", "in")]
    assert jobs[0].returncode == 0, jobs[0].stdout + jobs[0].stderr
    centroids = [path.parent.parent / f"annotations/{path.name}_seg-vb_ctd.json" for path in phantoms]
    vertebra = complete_sheet(folder, centroids)
    (folder / "check.yaml").write_text(json.dumps(CONFIG))
    check = vertegrade(folder, "check", "check.yaml")
    for targets in (["all", "ro_crate", f"results/lineage/{vertebra}.html"], ["audit", "why"]):
        jobs.append(snakemake(folder, "--cores", "1", *targets, config=CONFIG))
    exporting = CONFIG | {"export": {"write": ["seg", "sr", "capture", "fhir", "markups"]}}
    jobs.append(snakemake(folder, "--cores", "1", "export", config=exporting))
    jobs += [snakemake(folder, "--report", name, config=CONFIG) for name in ("report.html", "report.zip")]
    for job in jobs:
        assert job.returncode == 0, (job.stdout + job.stderr)[-8000:]
    return Run(folder, files, count, check, "".join(job.stdout + job.stderr for job in [check, *jobs]))


def complete_sheet(folder: Path, centroids: list[Path]) -> str:
    """What a person does: name each scan's centroids and split, write labels; scan and level of the planted one.

    Which row is which scan tells the key file, or the folder.
    """
    sheet, labels = folder / "scans.csv", ["patient_id,scan_id,vertebra,genant_grade"]
    with sheet.with_suffix(".key.tsv").open(encoding="utf-8") as file:
        next(file)
        planted = {row["scan_id"] for row in csv.DictReader(file, delimiter="\t") if row["PatientID"].startswith(WORD)}
    with sheet.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    vertebra = ""
    for row in rows:
        place = Path(row["path"])
        if place.name in ("unmarked", "hole"):
            row["split"] = "train"
            continue
        number = int(row["scan_id"] not in planted) if place.name == "mixed" else int(place.name)
        row["centroids"], row["split"] = str(centroids[number]), SPLITS[number]
        levels = sorted(centroid_labels(centroids[number]))
        grades = zip(levels, itertools.cycle([0, 1, 0, 2, 0, 3]))
        labels += [f"{row['patient_id']},{row['scan_id']},{level},{grade}" for level, grade in grades]
        if number == 0:
            assert row["series"]
            vertebra = f"{row['scan_id']}_{NAMES[levels[len(levels) // 2]]}"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (folder / "labels.csv").write_text("\n".join(labels))
    return vertebra


def test_counts_reconcile_from_files_to_grades(run: Run) -> None:
    flow = json.loads((run.folder / "results/report/flow.json").read_text())
    index, scans, bones = flow["index"], flow["all"]["scans"], flow["all"]["vertebrae"]
    assert index["files"]["found"] == run.files
    assert index["files"]["left_out"] == {"not_dicom": 1, "zip": 1}
    assert index["files"]["ct"] == run.files - 2
    assert index["images"] == {"found": 11, "left_out": {"too_few_slices": 1}, "scans": 10}
    assert scans == {
        "in_sheet": 10,
        "not_converted": {"missing_slices (failed)": 1},
        "converted": 9,
        "not_localized": {"no_landmarks (excluded)": 1},
        "localized": 8,
    }
    predictions = pd.read_parquet(run.folder / "results/predictions/dae.parquet")
    assert bones["graded"] == predictions["evaluable"].sum() > 0
    assert bones["found"] - sum(bones["not_cropped"].values()) - sum(bones["not_graded"].values()) == bones["graded"]
    assert predictions["scan_id"].nunique() == 8
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
    apart = (run.folder / "in", run.folder / "results-export")
    files = [file for file in run.folder.rglob("*") if file.is_file() and not any(map(file.is_relative_to, apart))]
    assert {"scans.csv", "scans.index.json", "report.html", "report.zip"} < {file.name for file in files}
    made = {file.relative_to(run.folder / "results").parts[0] for file in files if "results" in file.parts}
    assert {"manifest", "evaluation", "counterfactual", "localization", "report", "lineage", "workflow"} < made
    assert {"patients", "vertebrae.csv", "dataset_description.json"} < made
    assert {"cohort.html", "flow.svg", "audit.tsv", "ro-crate-metadata.json"} < {file.name for file in files}
    assert [file for file in files if file.parent.name == "metadata"]
    assert found_in([run.folder / "scans.key.tsv"])  # the search finds what is there
    assert found_in([next((run.folder / "in/mixed").glob("1-*"))])
    assert found_in([file for file in files if file.name != "scans.key.tsv"]) == []
    printed = run.folder / "printed.txt"
    printed.write_text(run.printed)
    assert found_in([printed]) == []


def test_an_export_that_was_asked_for_names_the_patient(run: Run) -> None:
    """Centroids alone give no bodies, so there is no segmentation."""
    exported = [file for file in (run.folder / "results-export").rglob("*") if file.is_file()]
    named = {file.name for file in exported if found_in([file])}
    drawn = {file.name for file in exported if file.name.startswith("synthetic-")}
    assert {"sr.dcm", "fhir.json", "summary.dcm"} <= named <= {"sr.dcm", "fhir.json", "summary.dcm"} | drawn
    assert {"points.mrk.json", "scans.tsv"} <= {file.name for file in exported}
    for listed in (file.read_text().splitlines() for file in exported if file.name == "scans.tsv"):
        assert [line.split("\t")[0] for line in listed].count("scan_id") == 1
        assert len(listed) > 1


def test_the_search_looks_into_what_is_packed(tmp_path: Path) -> None:
    secret = f"by {NAME}".encode()
    text = PngInfo()
    text.add_text("Comment", secret.decode(), zip=True)
    Image.new("L", (2, 2)).save(tmp_path / "a.png", pnginfo=text)
    pd.DataFrame({"name": [secret.decode()] * 9}).to_parquet(tmp_path / "b.parquet")
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d.txt", secret * 9)
        archive.write(tmp_path / "a.png")
    packed = base64.b64encode(gzip.compress(secret * 9)).decode()
    (tmp_path / "e.html").write_text(f'<img src="data:image/svg+xml;base64,{packed}">')
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / base64.b64encode(secret).decode()).touch()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    plain = [file.name for file in files if b"Zebedea" in file.read_bytes() + str(file).encode()]
    assert plain == ["b.parquet"]  # its footer
    assert len({found.split(":")[0] for found in found_in(files)}) == len(files) == 5
