"""A finished run is frozen and exported, and its model grades scans: by `make grade`, and in a notebook."""

import csv
import gzip
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from helpers.copies import copy_of
from helpers.links import broken_links
from helpers.runs import ROOT, TINY, plain_environment, snakemake
from vertegrade.api import LATENTS, grade_volume, open_model
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import read_scan
from vertegrade.frozen import read_model
from vertegrade.methods import BASELINES, DEFAULT, METHODS
from vertegrade.tables import PREDICTIONS, read_table

pytestmark = pytest.mark.slow

PLACE = "Größe und Name"


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=plain_environment(), capture_output=True, text=True, timeout=900, check=False
    )


def vertegrade(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a person gives it."""
    return run_in(folder, sys.executable, "-m", "vertegrade.commands", *arguments)


def make_grade(folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """`make grade` in the folder, by the environment of this test."""
    here = [f"BIN={Path(sys.executable).parent}", "ENVIRONMENT=", "CORES=2"]
    return run_in(folder, "make", "--file", str(ROOT / "Makefile"), *here, "grade", *variables)


@pytest.fixture(scope="module")
def frozen(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen model of the tiny run."""
    folder = copy_of(finished, tmp_path_factory.mktemp("freeze"))
    run = snakemake(folder, "--cores", "1", "freeze")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE) == ["freeze"]
    return folder / "results/frozen"


def add_scan(finished: Path, folder: Path, number: int, name: str) -> Path:
    """A scan of the tiny run, as NIfTI with its centroids, in a folder of its own; the NIfTI."""
    volume = sorted((finished / "results/ct").glob("*/*_ct.nii.gz"))[number]
    annotations = finished / "results/phantom" / volume.parent.name / "annotations"
    centroids = annotations / volume.name.replace("_ct.nii.gz", "_seg-vb_ctd.json")
    (folder / name).mkdir(parents=True)
    shutil.copyfile(centroids, folder / name / f"sub-{name}_seg-vb_ctd.json")
    return Path(shutil.copyfile(volume, folder / name / f"sub-{name}_ct.nii.gz"))


@pytest.fixture(scope="module")
def graded(finished: Path, frozen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `make grade` was given: one sound scan, one cut short; beside them what is no scan."""
    folder = tmp_path_factory.mktemp("grade")
    add_scan(finished, folder / PLACE, 0, "sound")
    broken = add_scan(finished, folder / PLACE, 0, "broken")
    broken.write_bytes(gzip.compress(gzip.decompress(broken.read_bytes())[:90000]))
    (folder / PLACE / "notes.txt").write_text("x")
    run = make_grade(folder, f"DIR={PLACE}", f"MODEL={frozen}")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    return folder


def test_the_frozen_folder_tells_who_taught_it_and_what_it_is_made_of(frozen: Path) -> None:
    card = json.loads((frozen / "model_card.json").read_text())
    assert card["taught_by"] == {"scans": "phantoms", "labels": "phantoms"}
    assert card["training"]["vertebrae"] > card["training"]["fractured"] > 0
    assert card["test"].keys() == {"dae", "pca", "keypoints"}
    text = (frozen / "MODEL_CARD.md").read_text()
    assert "Research use only, not a medical device" in text
    assert "It has never learned from an image of a patient" in text
    model = read_model(str(frozen))
    assert {"convert", "localize", "crop", "encode", "grade"} - model.code.keys() == {"convert"}
    size = sum(path.stat().st_size for path in frozen.rglob("*") if path.is_file())
    assert size < 40e6


def test_a_volume_in_memory_gets_the_grades_of_the_workflow(finished: Path, frozen: Path) -> None:
    model = open_model(frozen, "cpu")
    flagged = model.settings.grading.model_copy(update={"novel": "flag"})  # as in the cohort that trained it
    model = replace(model, settings=model.settings.model_copy(update={"grading": flagged}))
    names = LATENTS.keys() & DEFAULT
    tables = {name: read_table(finished / f"results/predictions/{name}.parquet", PREDICTIONS) for name in names}
    first = tables["dae"][tables["dae"]["evaluable"]].iloc[0]
    scan = first["scan_id"]
    (dicom,) = (finished / "results/phantom").glob(f"*/dicom/{scan}")
    given = f"{dicom.parent.parent}/annotations/{scan}_seg"
    row = ScanRow(scan, first["patient_id"], "", mask=f"{given}-vert_msk.nii.gz", centroids=f"{given}-vb_ctd.json")
    converted = read_scan(dicom, model.settings.ct)
    graded = grade_volume(converted.volume, model, converted.notes.flags, converted.slice_thickness_mm, row)
    for method, table in tables.items():
        its = table[table["scan_id"] == scan].reset_index(drop=True)
        found = graded.predictions[method].assign(split=its["split"])
        pd.testing.assert_frame_equal(found, its, rtol=1e-9, atol=1e-12)  # products of other numbers of rows


def test_every_method_that_a_model_may_have_makes_latents() -> None:
    assert LATENTS.keys() == {name for name, method in METHODS.items() if method.latents} - BASELINES


def test_make_grade_writes_page_and_table_and_leaves_the_broken_scan_out(graded: Path) -> None:
    for manifest in (graded / "results/grade/manifest/measure").glob("[0-9]*.json"):
        measured = json.loads(manifest.read_text())["inputs"]
        assert any(path.endswith("frozen/heights/intact_heights.json") for path in measured)
    table = read_table(graded / "results/grade/predictions/dae.parquet", PREDICTIONS)
    assert set(table["scan_id"]) == {"sound"}
    assert table["evaluable"].any()
    page = (graded / "results/grade/report/index.html").read_text(encoding="utf-8")
    assert "2 scans of 2 patients: 1 done, 0 excluded, 1 failed" in page
    assert "A DICOM or NIfTI file is empty, cut short or damaged." in page
    assert "which learned from digital phantoms" in page
    files = sorted((graded / "results/grade/report/patients").glob("*.html"))
    assert [broken_links(file) for file in [graded / "results/grade/report/index.html", *files]] == [[], [], []]
    pages = {file.stem: file.read_text(encoding="utf-8") for file in files}
    assert len(pages) == 2
    of_sound = pages[table["patient_id"].iloc[0]]
    assert of_sound.count("<image ") == 1
    assert of_sound.count('<img class="crop"') == len(table)
    assert all(PLACE not in text for text in [page, *pages.values()])
    names = {path.name for path in (graded / "results").iterdir()}
    assert names == {"grade", "grade.yaml", "grade.scans.csv", "grade.scans.index.json", "grade.scans.key.tsv"}


def test_a_second_call_processes_the_scan_that_was_added_and_exports(
    graded: Path, finished: Path, frozen: Path
) -> None:
    """Of the others it does nothing but the export that is asked for only now, and tells of it."""
    with (graded / "results/grade.scans.csv").open(encoding="utf-8") as file:
        before = {row["scan_id"]: row["patient_id"] for row in csv.DictReader(file)}
    manifests = graded / "results/grade/manifest"
    old = {path: path.read_bytes() for path in manifests.glob("*/[0-9]*.json")}
    add_scan(finished, graded / PLACE, 1, "added")
    run = make_grade(graded, f"DIR={PLACE}", f"MODEL={frozen}", "WRITE=sr markups")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert "note: results/grade.yaml: export.write asks for sr, markups: each run writes them into" in run.stdout
    assert "results/grade/grades.csv, results/grade-export" in run.stdout + run.stderr  # where to look, at its end
    exported = {path.parent.name: path.name for path in (graded / "results/grade-export").glob("*/*/*")}
    assert exported == {"sound": "points.mrk.json", "added": "points.mrk.json"}  # a NIfTI has no study for a report
    assert {path: path.read_bytes() for path in old} == old
    assert len(list(manifests.glob("convert/*.json"))) == 3
    with (graded / "results/grade.scans.csv").open(encoding="utf-8") as file:
        assert {row["scan_id"] for row in csv.DictReader(file)} == {*before, "added"}
    table = read_table(graded / "results/grade/predictions/dae.parquet", PREDICTIONS)
    assert set(table["scan_id"]) == {"sound", "added"}


def test_a_finished_run_is_exported_by_the_command(frozen: Path) -> None:
    """`vertegrade export mine.yaml --write sr`, typed in the folder of the run; only the export runs."""
    folder = frozen.parents[1]
    run = vertegrade(folder, "export", str(ROOT / "config.yaml"), str(TINY), "--write", "sr", "--cores", "2")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    ran = re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE)
    assert sorted(ran) == ["export", "export_scans", "export_scans"]
    files = sorted((folder / "results-export").glob("*/*/*"))
    assert {file.name for file in files} == {"sr.dcm"}
    report = pydicom.dcmread(files[0])
    assert (report.Modality, report.SOPClassUID.name) == ("SR", "Comprehensive 3D SR Storage")


def test_the_cohorts_page_tells_of_scans_that_its_model_graded(graded: Path, finished: Path, tmp_path: Path) -> None:
    cohort = copy_of(finished, tmp_path)
    shutil.copytree(graded / "results/grade", cohort / "results-applied/elsewhere")
    run = snakemake(cohort, "--cores", "1")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    ran = set(re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE))
    assert ran == {"all", "cohort_page"}
    page = (cohort / "results/report/cohort.html").read_text(encoding="utf-8")
    assert "<h3>elsewhere</h3>" in page
    assert "Nobody's reading is compared here" in page
    assert "another model" not in page


def test_what_cannot_be_graded_is_said_before_any_work(frozen: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("x")
    for name, says in (
        ("gone", "gone: no such folder; give the folder that contains the scans"),
        ("empty", "empty: no CT series or NIfTI image was found"),
        ("text", "text: no CT series or NIfTI image was found"),
        (".", "the results results/grade would lie in ."),
    ):
        run = vertegrade(tmp_path, "grade", name, "--model", str(frozen))
        assert (run.returncode, run.stdout) == (1, "")
        assert says in run.stderr, run.stderr
        assert "Traceback" not in run.stderr
    run = vertegrade(tmp_path, "grade", "text", "--model", "text")
    assert "run.model = text: neither model.json nor dae/weights.safetensors is in it" in run.stderr
    assert not (tmp_path / "results").exists()


def test_a_run_with_a_model_has_none_to_freeze(frozen: Path, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("scan_id,patient_id,path\na,p1,/nowhere\n")
    config: dict[str, dict[str, object]] = {
        "cohort": {"sheet": str(tmp_path / "sheet.csv")},
        "run": {"model": str(frozen)},
    }
    run = snakemake(tmp_path, "-n", "freeze", config=config)
    assert run.returncode != 0
    assert "is graded by the model" in run.stdout + run.stderr
    assert "has none of its own to freeze" in run.stdout + run.stderr
