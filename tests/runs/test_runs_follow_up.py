"""Follow-up in a run as a person types it: planned where the sheet has months, made for a phantom with two scans."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.links import broken_links
from helpers.runs import ROOT, plain_environment
from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS, FOLLOW_UP_TABLE
from vertegrade.levels import LABEL_OF
from vertegrade.tables import PHANTOM_TRUTH, read_table

SHIPPED = {"run": {"model": "shipped"}, "cohort": {"shards": 1}}


def typed(folder: Path, config: dict[str, dict[str, object]], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`snakemake --configfile mine.yaml`, in a folder."""
    merged = {name: SHIPPED.get(name, {}) | config.get(name, {}) for name in SHIPPED | config}
    (folder / "mine.yaml").write_text(yaml.safe_dump(merged))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "mine.yaml"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def planned(folder: Path, months: tuple[str, str]) -> tuple[dict[str, int], str]:
    """Jobs by rule of a dry run of two scans of one patient, and all that was said."""
    rows = ["scan_id,patient_id,path,months"]
    for scan, when in zip("ab", months, strict=True):
        (folder / f"{scan}.nii.gz").touch()
        rows.append(f"{scan},p1,{folder}/{scan}.nii.gz,{when}")
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    run = typed(folder, {"cohort": {"sheet": "sheet.csv"}}, "-n")
    text = run.stdout + run.stderr
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)}, text


def test_scans_of_one_patient_are_compared_where_the_sheet_has_months(tmp_path: Path) -> None:
    counts, text = planned(tmp_path, ("0", "18.5"))
    assert counts["follow_up"] == 1
    (inputs,) = re.findall(r"^rule patient_pages:\n    input: (.*)$", text, re.MULTILINE)
    assert "results/follow_up/vertebrae.parquet" in inputs


def test_without_months_nothing_is_compared(tmp_path: Path) -> None:
    counts, text = planned(tmp_path, ("", ""))
    assert counts["patient_pages"] == 1
    assert "follow_up" not in text


def test_a_run_does_not_start_where_a_scan_lacks_its_month(tmp_path: Path) -> None:
    counts, text = planned(tmp_path, ("", "18.5"))
    assert counts == {}
    assert "sheet.csv:\nline 2: months is empty, and line 3 of the same patient" in text


@pytest.mark.slow
def test_a_phantom_with_two_scans_has_its_changes_in_tables_and_on_its_page(tmp_path: Path) -> None:
    run = typed(tmp_path, {"run": {"seed": 3}, "phantom": {"patients": 1, "follow_up": 1.0}}, "--cores", "1")
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    results = tmp_path / "results"
    changes = read_table(results / "follow_up/vertebrae.parquet", FOLLOW_UP)
    pairs = read_table(results / "follow_up/scans.parquet", FOLLOW_UP_SCANS)
    people = read_table(results / "follow_up.csv", FOLLOW_UP_TABLE)
    assert (pairs["reason"].tolist(), len(people)) == ([""], len(changes))
    truth = read_table(results / "phantom/0/truth.parquet", PHANTOM_TRUTH)
    before, after = (truth[truth["scan_id"] == f"ph0001-{n}"].set_index("vertebra") for n in (1, 2))
    for row in changes.to_dict("records"):
        label = row["vertebra_after"]
        if row["verdict"] != "unclear" and label in before.index and label in after.index:
            true = after["height_anterior_mm"][label] - before["height_anterior_mm"][label]
            assert abs(row["change_anterior_mm"] - true) < 2.5
    verdicts = dict(zip(changes["vertebra_after"], changes["verdict"], strict=True))
    assert (verdicts[LABEL_OF["L2"]], verdicts[LABEL_OF["L4"]]) == ("progressed", "new")  # by 29 and 20 %
    assert broken_links(results / "report/patients/ph0001.html") == []
    page = (results / "report/patients/ph0001.html").read_text(encoding="utf-8")
    assert "Vertebrae in both scans, worst change first" in page
    assert re.search(r"<li><strong>L4: new \w+ fracture since month 0: ", page)
    assert set(pd.unique(people["research_use_only"])) == {"not a medical device"}


def test_the_preset_is_planned(tmp_path: Path) -> None:
    line = ["-m", "snakemake", "-n", "--cores", "1", "--directory", str(tmp_path)]
    line += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "presets/follow_up.yaml")]
    run = subprocess.run([sys.executable, *line], cwd=ROOT, env=plain_environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "rule follow_up" in run.stdout + run.stderr
