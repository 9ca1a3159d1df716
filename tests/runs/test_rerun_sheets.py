"""A sample sheet or its files change in a finished run: exactly the rows' shards run again. Planned by dry runs."""

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

import scale
from helpers import rerun_table as table
from helpers.planned import rules_in, shards_of
from helpers.runs import clone
from helpers.series import SERIES_UID, body_hu, write_series
from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.cohort.sheet import shard_of
from vertegrade.ct.headers import series_code
from vertegrade.settings import SplitSettings


def test_a_scan_added_to_a_sheet_re_runs_its_shard_and_what_learns_from_it(tmp_path: Path) -> None:
    made = scale.write_cohort(tmp_path, scans=6, shards=3)
    scale.write_finished_run(tmp_path, made)
    assert "Nothing to be done" in scale.snakemake(tmp_path, "-n").text
    with (tmp_path / "sheet.csv").open("a", encoding="utf-8") as sheet:
        sheet.write("s6,p6,scans/0/s5.nii.gz\n")
    text = scale.snakemake(tmp_path, "-n").text
    assert rules_in(text) == table.with_followers({"convert"})
    for rule in ("convert", "localize", "localization_picture", "crop"):
        assert shards_of(rule, text) == {shard_of("s6", 3)}, rule


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of six scans, found by the shipped networks; its files are empty."""
    (tmp_path / "run").mkdir()
    scale.write_finished_run(tmp_path / "run", scale.write_cohort(tmp_path / "run", scans=6, shards=3))
    return tmp_path / "run"


def planned_rules(run: Path, **more: Any) -> set[str]:
    text = scale.snakemake(run, "-n", **more).text
    assert ("Nothing to be done" in text) is (rules_in(text) == set())
    return rules_in(text)


def sheet_of(run: Path, *rows: str) -> None:
    (run / "sheet.csv").write_text("\n".join(("scan_id,patient_id,path,split", *rows)) + "\n", encoding="utf-8")


def test_a_sheet_in_another_order_re_runs_nothing(run: Path) -> None:  # field test B11
    sheet_of(run, *(f"s{n},p{n},scans/0/s{n}.nii.gz," for n in (3, 5, 0, 4, 1, 2)))
    assert planned_rules(run) == set()


def test_slashes_too_many_re_run_nothing(run: Path) -> None:  # field test B11
    sheet_of(run, *(f"s{n},p{n},.//scans/0//s{n}.nii.gz," for n in range(6)))
    more = "run: {results: ./results/, logs: logs/}\n"
    (run / "slash.yaml").write_text((run / "mine.yaml").read_text() + more)
    assert planned_rules(run, settings="slash.yaml") == set()


def test_a_split_by_hand_re_runs_what_it_changes_and_nothing_where_the_hash_says_so_too(run: Path) -> None:  # B11
    splits = [hashed_split(f"p{n}", SplitSettings()) for n in range(6)]
    sheet_of(run, *(f"s{n},p{n},scans/0/s{n}.nii.gz,{split}" for n, split in enumerate(splits)))
    assert planned_rules(run) == set()
    splits[2] = "test" if splits[2] == "train" else "train"
    sheet_of(run, *(f"s{n},p{n},scans/0/s{n}.nii.gz,{split}" for n, split in enumerate(splits)))
    assert planned_rules(run) == table.with_followers({"split"})


def test_a_grade_corrected_in_a_table_with_splits_splits_nobody_anew(run: Path) -> None:  # field test B11
    header, first = "patient_id,scan_id,vertebra,genant_grade,split", hashed_split("p0", SplitSettings())
    (run / "labels.csv").write_text(f"{header}\np0,s0,L1,2,{first}\n", encoding="utf-8")
    assert planned_rules(run) == table.with_followers({"labels"})
    other = "test" if first == "train" else "train"
    (run / "labels.csv").write_text(f"{header}\np0,s0,L1,2,{other}\n", encoding="utf-8")
    assert planned_rules(run) == table.with_followers({"labels", "split"})


def test_another_fingerprint_or_path_re_runs_its_shard(run: Path) -> None:
    rows = ["scan_id,patient_id,path,fingerprint", *(f"s{n},p{n},scans/0/s{n}.nii.gz," for n in range(6))]
    (run / "sheet.csv").write_text("\n".join([*rows[:6], rows[6] + "new"]) + "\n", encoding="utf-8")
    text = scale.snakemake(run, "-n").text
    assert rules_in(text) == table.with_followers({"convert"})
    assert shards_of("convert", text) == {shard_of("s5", 3)}


def test_a_new_clone_or_folder_of_the_run_re_runs_nothing(run: Path, tmp_path: Path) -> None:  # field test B11
    copied = clone(tmp_path / "deep/er/clone")
    weights = copied / "models/localizer/vertebrae.safetensors"
    assert weights.stat().st_mtime > (run / "results/cohort/splits.tsv").stat().st_mtime
    assert planned_rules(run, root=copied) == set()
    run.rename(tmp_path / "moved")
    assert planned_rules(tmp_path / "moved", root=copied) == set()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert planned_rules(tmp_path / "moved", root=copied) == table.with_followers({"localize"})


def test_a_new_file_in_a_shared_folder_re_runs_the_scans_of_its_series_alone(tmp_path: Path) -> None:  # field test B11
    run = tmp_path / "run"
    write_series(run / "dump/first", body_hu(3))
    scale.write_cohort(run, scans=1, shards=1)
    sheet = f"scan_id,patient_id,path,series\ns0,p0,dump,{series_code(SERIES_UID)}\n"
    (run / "sheet.csv").write_text(sheet, encoding="utf-8")
    scale.write_finished_run(run, {"0": ["s0"]})
    for name in (".DS_Store", "Thumbs.db"):
        (run / "dump/first" / name).write_text("x")
    write_series(run / "dump/second", body_hu(3), change=of_another_series)
    assert planned_rules(run) == set()
    write_series(run / "dump/third", body_hu(1))
    assert planned_rules(run) == table.with_followers({"convert"})


def of_another_series(dataset: Dataset, number: int) -> None:
    dataset.SeriesInstanceUID = "1.2.3"
