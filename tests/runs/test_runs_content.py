"""Content decides what runs again, not time or Snakemake's records: plans over a finished run of empty files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scale
from helpers import rerun_table as table
from helpers.runs import ROOT, plain_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    scale.write_finished_run(folder, scale.write_cohort(folder, scans=6, shards=3))
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, with all times."""
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`snakemake` as a person types it for the run in a folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(ROOT / "config.yaml"), str(folder / "mine.yaml"), "--cores", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, env=plain_environment(), capture_output=True, text=True)


def planned(folder: Path, settings: str = "") -> tuple[set[str], str]:
    """Rules that would run, and all that the dry run says."""
    with (folder / "mine.yaml").open("a", encoding="utf-8") as mine:
        mine.write(settings)
    text = scale.snakemake(folder, "-n").text
    assert ("Nothing to be done" in text) is ("rule " not in text)
    return set(re.findall(r"^rule (\w+):", text, re.MULTILINE)) - {"all"}, text


def test_a_copy_without_snakemakes_records_and_with_other_times_runs_nothing(run: Path) -> None:
    shutil.rmtree(run / ".snakemake")
    for number, path in enumerate(sorted(run.rglob("*.parquet"))):
        os.utime(path, (number, number))
    os.utime(run / "labels.csv")
    assert planned(run)[0] == set()


def test_without_snakemakes_records_another_setting_runs_what_follows_from_it(run: Path) -> None:
    # field test A5
    shutil.rmtree(run / ".snakemake")
    rules, text = planned(run, "grading: {coverage: 0.7}\n")
    assert rules == table.with_followers({"calibrate", "summary"})
    assert "calibrate (method=dae) runs again: grading.coverage was 0.9, is 0.7" in text


def test_copied_results_hold_and_run_again_where_a_setting_is_another(run: Path) -> None:
    # field test A5
    (run / "results").rename(run / "kept")
    # The summary prints a hash of all settings, run.results among them.
    assert planned(run, "run: {results: kept}\n")[0] == table.with_followers({"summary"})
    rules, _ = planned(run, "grading: {coverage: 0.7}\n")
    assert rules == table.with_followers({"calibrate", "summary"})


def test_labels_replaced_by_an_older_file_are_read_again(run: Path) -> None:
    # field test A5
    (run / "older.csv").write_text("patient_id,scan_id,vertebra,genant_grade\np0,s0,L1,3\n", encoding="utf-8")
    os.utime(run / "older.csv", (1, 1))
    (run / "older.csv").replace(run / "labels.csv")
    rules, text = planned(run)
    assert rules == table.with_followers({"labels"})
    assert "labels runs again: labels.csv was changed" in text


def test_a_scan_replaced_by_an_older_file_is_read_again(run: Path) -> None:
    # field test A5
    scan = run / "scans/0/s0.nii.gz"
    scan.write_bytes(b"another scan")
    os.utime(scan, (1, 1))
    rules, text = planned(run)
    assert rules == table.with_followers({"convert"})
    assert "scans/0/s0.nii.gz was changed" in text


def test_a_result_that_was_edited_or_lost_its_manifest_is_made_again(run: Path) -> None:
    # field test A5
    (run / "results/predictions/dae.parquet").write_bytes(b"other grades")
    (run / "results/manifest/montage/all.json").unlink()
    rules, text = planned(run)
    assert rules == table.with_followers({"grade", "montage"})
    assert "results/predictions/dae.parquet is not as it was written" in text
    assert "results/manifest/montage/all.json is not there" in text


def test_times_decide_where_the_command_asks_for_it(run: Path) -> None:
    (run / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\np0,s0,L1,3\n", encoding="utf-8")
    os.utime(run / "labels.csv", (1, 1))
    assert "Nothing to be done" in scale.snakemake(run, "-n", "--rerun-triggers", "mtime").text


def test_why_says_what_it_looked_at_and_what_it_found(run: Path) -> None:
    # field test A5
    asked = typed(run, "why")
    assert asked.returncode == 0, asked.stderr
    jobs = len(list((run / "results/manifest").glob("*/*.json")))
    assert f"Nothing would run: the manifests of {jobs} jobs agree with the present inputs, results" in asked.stdout
    shutil.rmtree(run / ".snakemake")
    (run / "results/crops/0.npy").write_bytes(b"other")
    asked = typed(run, "why")
    assert "crop (shard=0): results/crops/0.npy is not as it was written" in asked.stdout
    assert "Nothing would run" not in asked.stdout


def test_audit_misses_a_summary_and_a_page_that_left_with_their_manifests(run: Path) -> None:
    # field test A5
    assert typed(run, "audit").returncode == 0
    for output, manifest in (("summary.json", "summary"), ("report/cohort.html", "cohort_page")):
        (run / "results" / output).unlink()
        shutil.rmtree(run / "results/manifest" / manifest)
    failed = typed(run, "audit")
    assert failed.returncode != 0
    for words in (
        "results/summary.json: summary should make it",
        "results/report/cohort.html: cohort_page should make",
    ):
        assert f"missing: {words}" in failed.stderr


def test_audit_of_results_that_are_not_there_fails(run: Path) -> None:
    # field test A5
    with (run / "mine.yaml").open("a", encoding="utf-8") as mine:
        mine.write("run: {results: nowhere}\n")
    failed = typed(run, "audit")
    assert failed.returncode != 0
    assert "nowhere: no job has left anything here; is run.results right?" in failed.stderr
