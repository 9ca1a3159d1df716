"""`snakemake compare`: what it plans, and the whole of it on a finished tiny run, with its audit."""

import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.copies import copy_of
from helpers.links import broken_links
from helpers.runs import Config, snakemake
from vertegrade.evaluation.comparison.tables import COMPARISON
from vertegrade.tables import read_table

RULES = {"compare_methods", "compare_groups", "learning_curve", "compare"}


def planned(folder: Path, *targets: str, config: Config | None = None) -> set[str]:
    """Rules of jobs that a dry run names."""
    run = snakemake(folder, "-n", *targets, config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    return set(re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE))


def test_the_comparison_is_no_default_and_grades_with_every_method(tmp_path: Path) -> None:
    rules = planned(tmp_path, "compare")
    assert rules >= RULES | {"train_dae", "grade", "labels"}
    assert not rules & {"evaluate", "cohort_page", "counterfactual", "patient_pages"}
    assert planned(tmp_path) & RULES == {"compare_methods"}  # the headline of the cohort's page


def test_with_seq2seq_whole_scans_are_compared_and_counted(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "-n", "compare", config={"methods": ["dae", "pca", "keypoints", "seq2seq"]})
    text = run.stdout + run.stderr
    jobs = dict(re.findall(r"^rule (\w+):\n((?: .*\n)+)", text, re.MULTILINE))
    assert re.search(r"scores/seq2seq/\w+_scans\.parquet", jobs["compare_methods"]), text
    assert "evaluation/seq2seq/patients.json" in jobs["compare"]
    assert "evaluate_seq2seq" not in planned(tmp_path, "compare")


def test_the_comparison_without_labels_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("scan_id,patient_id,path\ns0,p0,s0.nii.gz\n")
    run = snakemake(tmp_path, "-n", "compare", config={"cohort": {"sheet": str(tmp_path / "sheet.csv")}})
    assert run.returncode != 0
    assert "no labels and no model" in run.stderr


@pytest.mark.slow
def test_the_comparison_of_a_finished_run_is_its_own_and_stands_an_audit(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    run = snakemake(folder, "--cores", "1", "compare")
    assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
    made = set((folder / "results/compare").iterdir())
    names = {
        "comparison.csv",
        "comparison.html",
        "comparison.svg",
        "comparison.pdf",
        "cases.parquet",
        "left_out.csv",
        "cost.csv",
        "groups.csv",
    }
    assert {path.name for path in made} >= names
    table = read_table(folder / "results/compare/comparison.csv", COMPARISON)
    assert {"dae", "pca", "keypoints"} <= set(table["method"])
    assert broken_links(folder / "results/compare/comparison.html") == []
    page = (folder / "results/compare/comparison.html").read_text(encoding="utf-8")
    assert "Research use only, not a medical device" in page
    assert planned(folder, "all", "compare") == set()  # nothing of the default was touched
    audit = snakemake(folder, "--cores", "1", "audit")
    assert audit.returncode == 0, audit.stderr[-4000:]
    number = folder / "results/compare/comparison.csv"
    altered = number.read_text().replace("0.95", "0.96")
    number.unlink()  # a hard link to the run that other tests read
    number.write_text(altered)
    audit = snakemake(folder, "--cores", "1", "audit")
    assert audit.returncode != 0
    assert "altered: results/compare/comparison.csv" in audit.stderr
    assert not pd.read_csv(folder / "logs/audit.tsv", sep="\t").empty
