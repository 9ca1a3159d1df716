"""Whether a job's results still follow from what is there: by content, whatever the files' times say."""

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.small_run import PARAMS, write_job, write_run
from vertegrade.workflow import present
from vertegrade.workflow.manifest import HASHED
from vertegrade.workflow.present import Hashes, Job, contradictions

CONVERT = Job("convert", {"shard": "0"}, ["scans/a"], ["results/ct/0"], PARAMS)
CROP = Job("crop", {"shard": "0"}, ["results/ct/0"], ["results/crops/0.txt"], PARAMS)
MADE = {"results/ct/0", "results/crops/0.txt"}


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


def said(job: Job, results: str = "results") -> list[str]:
    return contradictions(job, results, MADE, Hashes(results))


def with_times_of(path: str, text: str) -> None:
    """Put a text of the same length in place of a file's, and give it the file's times back, as `cp -p` would."""
    before = os.stat(path)
    assert before.st_size == len(text)
    Path(path).write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_nothing_speaks_against_a_finished_run() -> None:
    assert said(CONVERT) == said(CROP) == []


def test_a_slice_of_the_same_size_and_time_in_anothers_place_is_seen() -> None:
    # field test A5
    with_times_of("scans/a/2.dcm", "slice 3")
    assert said(CONVERT) == ["scans/a/2.dcm was changed"]


def test_slices_that_change_places_are_seen() -> None:
    # field test A5
    for path in ("scans/a/1.dcm", "scans/a/2.dcm"):
        os.utime(path, ns=(0, 0))
    write_job("convert", {"shard": "0"}, ["scans/a"], ["results/ct/0"])
    os.rename("scans/a/1.dcm", "scans/a/x")
    os.rename("scans/a/2.dcm", "scans/a/1.dcm")
    os.rename("scans/a/x", "scans/a/2.dcm")
    assert said(CONVERT) == ["scans/a/1.dcm, scans/a/2.dcm was changed"]


def test_files_added_and_taken_away_are_seen_but_hidden_ones_are_not() -> None:
    # field test A5
    Path("scans/a/.DS_Store").write_text("x")
    assert said(CONVERT) == []
    Path("scans/a/3.dcm").write_text("slice 3")
    Path("scans/a/1.dcm").unlink()
    assert said(CONVERT) == ["new input scans/a/3.dcm", "no longer an input: scans/a/1.dcm"]


def test_other_times_alone_change_nothing_and_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("scans/a/1.dcm", "results/ct/0/a_ct.txt"):
        os.utime(path, ns=(1, 1))
    hashes = Hashes("results")
    assert contradictions(CONVERT, "results", MADE, hashes) == []
    hashes.remember()
    assert Path("results/manifest", HASHED).exists()
    monkeypatch.setattr(present, "sha256_of", lambda path: pytest.fail(f"{path} was hashed again"))
    assert said(CONVERT) == said(CROP) == []


def test_results_that_were_moved_or_copied_hold_and_are_still_looked_at() -> None:
    # field test A5
    shutil.copytree("results", "copied")
    there = {name: f"copied/{name.removeprefix('results/')}" for name in MADE}
    job = Job("crop", {"shard": "0"}, [there["results/ct/0"]], [there["results/crops/0.txt"]], PARAMS)
    assert contradictions(job, "copied", set(there.values()), Hashes("copied")) == []
    Path("copied/crops/0.txt").write_text("other")
    assert contradictions(job, "copied", set(there.values()), Hashes("copied")) == [
        "copied/crops/0.txt is not as it was written"
    ]


def test_other_settings_are_named_without_snakemakes_records() -> None:
    # field test A5
    now = copy.deepcopy(PARAMS)
    now["settings"]["crop.size"] = 32
    job: Any = Job("crop", {"shard": "0"}, CROP.inputs, CROP.outputs, now)
    assert said(job) == ["crop.size was 64, is 32"]


def test_an_input_with_the_same_name_and_content_in_another_folder_is_the_same() -> None:
    Path("weights").mkdir()
    Path("weights/net.bin").write_text("w")
    write_job("crop", {"shard": "0"}, ["results/ct/0", "weights/net.bin"], ["results/crops/0.txt"])
    os.rename("weights", "moved")
    job = Job("crop", {"shard": "0"}, ["results/ct/0", "moved/net.bin"], CROP.outputs, PARAMS)
    assert said(job) == []
    Path("moved/net.bin").write_text("v")
    assert said(job) == ["new input moved/net.bin", "no longer an input: weights/net.bin"]


def test_a_lost_or_edited_manifest_vouches_for_nothing() -> None:
    # field test A5
    manifest = Path("results/manifest/crop/0.json")
    text = manifest.read_text()
    manifest.write_text(text.replace("node1", "node2"))
    assert said(CROP) == ["results/manifest/crop/0.json: edited after its job wrote it"]
    manifest.unlink()
    assert said(CROP) == [f"{manifest} is not there, so nothing says what its results were made from"]


def test_a_whole_output_that_is_gone_is_left_to_snakemake_and_a_file_in_one_is_not() -> None:
    Path("results/ct/0/b_ct.txt").write_text("volume")
    write_job("convert", {"shard": "0"}, ["scans/a"], ["results/ct/0"])
    Path("results/ct/0/b_ct.txt").unlink()
    assert said(CONVERT) == ["results/ct/0/b_ct.txt is not there"]
    shutil.rmtree("results/ct/0")
    assert said(CONVERT) == []
