"""The audit finds one planted fault of each kind as what it is, and nothing in a clean run."""

import copy
from pathlib import Path
from typing import Any

import pytest

from provenance.small_run import CODE, PARAMS, write_job, write_run
from vertegrade.provenance import check
from vertegrade.provenance.check import audit


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


def params_now(rule: str, wildcards: dict[str, str]) -> dict[str, Any] | None:
    return PARAMS


def found(params: check.Params = params_now, elsewhere: list[str] | None = None) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in audit("results", params, elsewhere or []).findings]


def test_clean_run_has_no_finding() -> None:
    report = audit("results", params_now, threads=2)
    assert report.findings == []
    assert (report.jobs, report.files, report.bytes) == (2, 4, len("slice 1slice 2volumecrops"))


def test_lost_output_and_lost_input_are_missing() -> None:
    Path("results/crops/0.txt").unlink()
    assert found() == [("missing", "results/crops/0.txt")]
    Path("scans/a/2.dcm").unlink()
    assert found() == [("missing", "results/crops/0.txt"), ("missing", "scans/a/2.dcm")]


def test_changed_output_is_altered_and_nothing_else() -> None:
    Path("results/ct/0/a_ct.txt").write_text("volumE")
    assert found() == [("altered", "results/ct/0/a_ct.txt")]


def test_changed_scan_is_inconsistent() -> None:
    Path("scans/a/2.dcm").write_text("slice II")
    assert found() == [("inconsistent", "scans/a/2.dcm")]


def test_output_made_anew_after_it_was_read_is_inconsistent() -> None:
    Path("results/ct/0/a_ct.txt").write_text("another volume")
    write_job("convert", {"shard": "0"}, ["scans/a"], ["results/ct/0"])
    assert found() == [("inconsistent", "results/ct/0/a_ct.txt")]


def test_other_settings_are_stale_and_named() -> None:
    now = copy.deepcopy(PARAMS)
    now["settings"]["crop.size"] = 32
    findings = audit("results", lambda rule, _: now if rule == "crop" else PARAMS).findings
    assert [(finding.kind, finding.path) for finding in findings] == [("stale", "results/crops/0.txt")]
    assert "crop.size was 64, is 32" in findings[0].message


def test_other_packages_and_code_are_stale_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = PARAMS | {"code": "0ther", "packages": {"numpy": "2.1"}}
    monkeypatch.setattr(check, "code_digests", lambda rule: {"a.py": "2222", "b.py": "3333"})
    message = audit("results", lambda rule, _: now).findings[0].message
    for words in ("numpy was '2.0', is '2.1'", "code: a.py was changed", "code: b.py is new"):
        assert words in message


def test_a_job_that_ran_other_code_than_it_was_planned_with_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:  # A3
    write_job("crop", {"shard": "0"}, ["results/ct/0"], ["results/crops/0.txt"], code={"a.py": "another clone's"})
    monkeypatch.setattr(check, "code_digests", lambda rule: CODE)
    (finding,) = audit("results", params_now).findings
    assert (finding.kind, finding.path) == ("stale", "results/crops/0.txt")
    assert "crop (shard=0) ran other code than it was planned with: code: a.py was changed" in finding.message


def test_job_that_the_workflow_no_longer_has_is_stale() -> None:
    assert found(lambda rule, _: None if rule == "crop" else PARAMS) == [("stale", "results/crops/0.txt")]


def test_file_of_no_job_is_orphaned() -> None:
    for name in ("results/ct/0/notes.txt", "results/.tmp-12-a.txt"):
        Path(name).write_text("x")
    assert found() == [("orphaned", "results/.tmp-12-a.txt"), ("orphaned", "results/ct/0/notes.txt")]


def test_logs_training_state_and_other_runs_inside_are_no_orphans() -> None:
    for name in ("results/logs/a.log", "results/dae/state/step", "results/second/manifest/crop/0.json"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("x")
    Path("results/second/table.tsv").write_text("x")
    Path("results/weights").write_text("w")
    write_job("train_dae", {}, [], ["results/weights"], params=PARAMS | {"state_dir": "results/dae/state"})
    same = {"train_dae": PARAMS | {"state_dir": "results/dae/state"}}
    assert found(lambda rule, _: same.get(rule, PARAMS), ["results/logs"]) == []


def test_broken_manifest_is_altered() -> None:
    Path("results/manifest/crop/0.json").write_text('{"rule": ')
    assert ("altered", "results/manifest/crop/0.json") in found()


def test_rows_are_told_apart_by_scan() -> None:
    row = {"scan_id": "a", "path": "x"}
    assert check.flat({"rows": [row, row | {"scan_id": "b"}]})["rows[b].path"] == "x"
