"""What a person types to audit a finished run: `snakemake audit`, `why`, `results/lineage/...`, `ro_crate`."""

import json
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

from helpers.copies import copy_of
from helpers.crate_rules import problems
from helpers.runs import Config, snakemake
from vertegrade.files import sha256_of
from vertegrade.levels import LABEL_OF

pytestmark = pytest.mark.slow


def run(folder: Path, *arguments: str, config: Config | None = None) -> str:
    done = snakemake(folder, "--cores", "1", *arguments, config=config)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout + done.stderr


def test_audit_passes_a_clean_run_and_fails_where_a_file_was_altered(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    run(folder, "audit")
    assert pd.read_csv(folder / "logs/audit.tsv", sep="\t").empty
    altered = folder / "results/predictions/dae.parquet"
    content = altered.read_bytes()
    altered.unlink()  # a copy shares its files with the finished run
    altered.write_bytes(content + b" ")
    failed = snakemake(folder, "--cores", "1", "audit")
    assert failed.returncode != 0
    assert "altered: results/predictions/dae.parquet: not as grade (method=dae) wrote it" in failed.stderr
    findings = pd.read_csv(folder / "logs/audit.tsv", sep="\t")
    assert set(zip(findings["kind"], findings["path"], strict=True)) == {("altered", "results/predictions/dae.parquet")}


def test_why_names_the_setting_before_and_now(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    assert "Nothing would run" in run(folder, "why")
    told = run(folder, "why", config={"grading": {"coverage": 0.7}})
    assert "grading.coverage was 0.6, is 0.7" in told
    assert "calibrate" in told
    assert "convert" not in told


def test_why_explains_what_is_asked_for(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, "predictions/dae.parquet")
    told = snakemake(
        folder, "--cores", "1", "why", TARGET="results/predictions/dae.parquet results/latents/pca/0.parquet"
    )
    assert told.returncode == 0, told.stderr
    assert "1 job(s) would run." in told.stdout
    assert "grade (method=dae): results/predictions/dae.parquet is not there" in told.stdout
    lost = snakemake(folder, "--cores", "1", "why", TARGET="results/predictions/dea.parquet")
    assert lost.returncode != 0
    assert "no rule is called, and none makes: results/predictions/dea.parquet" in lost.stderr


def test_lineage_leads_from_a_grade_to_the_dicom_files(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    row = pd.read_parquet(folder / "results/predictions/dae.parquet").query("evaluable").iloc[0]
    level = next(name for name, label in LABEL_OF.items() if label == row["vertebra"])
    name = f"results/lineage/{row['scan_id']}_{level}"
    run(folder, f"{name}.html")
    page = (folder / f"{name}.html").read_text(encoding="utf-8")
    assert "Research use only, not a medical device" in page
    table = pd.read_csv(folder / f"{name}.tsv", sep="\t")
    (dicom,) = (folder / "results/phantom").glob(f"*/dicom/{row['scan_id']}")
    slices = {path.relative_to(folder).as_posix(): sha256_of(path) for path in dicom.iterdir()}
    read = table[(table["rule"] == "convert") & (table["kind"] == "read") & (table["relation"] == "this scan")]
    assert dict(zip(read["name"], read["value"], strict=True)).items() >= slices.items()
    assert {"calibrate", "fit_hyperplane", "train_dae", "crop"} <= set(table["rule"])
    assert {"setting", "code", "package", "run"} <= set(table["kind"])
    unknown = snakemake(folder, "--cores", "1", "results/lineage/nobody_L1.html")
    assert unknown.returncode != 0
    assert "no predictions for scan 'nobody'" in unknown.stderr


def test_ro_crate_conforms_and_its_files_are_there(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    run(folder, "ro_crate")
    crate = json.loads((folder / "results/ro-crate-metadata.json").read_text(encoding="utf-8"))
    assert problems(crate) == []
    jobs = [entity for entity in crate["@graph"] if entity["@id"].startswith("#job/")]
    assert len(jobs) == len(list((finished / "results/manifest").glob("*/*.json")))
    for entity in crate["@graph"]:
        if "File" in entity["@type"]:
            file = folder / "results" / entity["@id"]
            assert file.is_file()
            assert entity.get("sha256", sha256_of(file)) == sha256_of(file)


def test_report_is_packed_without_a_network(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = snakemake(folder, "--report", str(tmp_path / "report.zip"), **nowhere)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    with ZipFile(tmp_path / "report.zip") as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        page = packed.read("report/report.html").decode()
    assert any(name.endswith("cohort.html") for name in names)
    assert "train_dae" in page
