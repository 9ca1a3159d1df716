"""The audit finds one planted fault of each kind as what it is, and nothing in a clean run."""

import copy
from pathlib import Path
from typing import Any

import pytest

from helpers.small_run import CODE, PARAMS, write_job, write_run
from vertegrade.workflow import audit as check
from vertegrade.workflow.audit import audit


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


def params_now(rule: str, wildcards: dict[str, str]) -> dict[str, Any] | None:
    return PARAMS


def found(params: check.Params = params_now, **more: Any) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in audit("results", params, **more).findings]


def test_clean_run_has_no_finding() -> None:
    report = audit("results", params_now, threads=2)
    assert report.findings == []
    assert (report.jobs, report.files, report.bytes) == (2, 4, len("slice 1slice 2volumecrops"))


def test_lost_output_and_lost_input_are_missing() -> None:
    Path("results/crops/0.txt").unlink()
    assert found() == [("missing", "results/crops/0.txt")]
    Path("scans/a/2.dcm").unlink()
    assert found() == [("missing", "results/crops/0.txt"), ("missing", "scans/a/2.dcm")]


def test_an_input_that_the_workflow_reads_elsewhere_now_is_not_missing() -> None:
    Path("scans/a").rename("moved")
    assert found(inputs=["moved/1.dcm", "moved/2.dcm"]) == found(inputs=["moved"]) == []
    Path("moved/2.dcm").write_text("slice II")
    assert found(inputs=["moved/1.dcm", "moved/2.dcm"]) == [("missing", "scans/a/2.dcm")]


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
    Path("results/second.yaml").write_text("x")
    Path("results/weights").write_text("w")
    write_job("train_dae", {}, [], ["results/weights"], params=PARAMS | {"state_dir": "results/dae/state"})
    same = {"train_dae": PARAMS | {"state_dir": "results/dae/state"}}
    assert found(lambda rule, _: same.get(rule, PARAMS), elsewhere=["results/logs"]) == []
    Path("results/third.yaml").write_text("x")  # of no run
    stray = found(lambda rule, _: same.get(rule, PARAMS), elsewhere=["results/logs"])
    assert stray == [("orphaned", "results/third.yaml")]


def test_a_file_added_to_a_folder_that_a_job_read_is_found() -> None:
    # field test A5
    Path("scans/a/3.dcm").write_text("slice of another scan")
    assert found() == [("added", "scans/a/3.dcm")]
    Path("scans/a/3.dcm").rename("scans/a/.DS_Store")
    assert found() == []


def test_orphans_by_link_are_found() -> None:
    # field test A5
    Path("elsewhere").mkdir()
    Path("elsewhere/b_ct.txt").write_text("volume")
    Path("results/ct/1").symlink_to(Path("elsewhere").absolute())
    Path("results/ct/0/b_ct.txt").symlink_to(Path("elsewhere/b_ct.txt").absolute())
    assert found() == [("orphaned", "results/ct/0/b_ct.txt"), ("orphaned", "results/ct/1")]


def test_results_on_another_disk_behind_a_link_are_no_orphans() -> None:
    Path("results/ct").rename("disk")
    Path("results/ct").symlink_to(Path("disk").absolute())
    assert found() == []
    Path("disk/0/notes.txt").write_text("x")
    assert found() == [("orphaned", "results/ct/0/notes.txt")]


def test_orphans_among_the_manifests_are_found() -> None:
    # field test A5
    manifests = Path("results/manifest")
    (manifests / "notes.txt").write_text("x")
    (manifests / "crop/0.png").write_text("x")
    (manifests / ".hashed.json").write_text("{}")  # what `why` and a run hashed again
    copied = manifests / "crop/1.json"
    copied.write_bytes((manifests / "crop/0.json").read_bytes())
    Path("results/other").mkdir()
    (Path("results/other") / "manifest").mkdir()  # a folder of that name makes no other run
    Path("results/other/table.tsv").write_text("x")
    names = ["manifest/crop/0.png", "manifest/crop/1.json", "manifest/notes.txt", "other/table.tsv"]
    assert found() == [("orphaned", f"results/{name}") for name in names]


def test_what_the_workflow_is_to_make_and_no_job_has_made_is_missing() -> None:
    # field test A5
    assert found(wanted={"results/summary.json": "summary"}) == [("missing", "results/summary.json")]


def test_an_edited_manifest_is_altered_and_changes_the_seal() -> None:
    # field test A5
    before = audit("results", params_now).seal
    manifest = Path("results/manifest/crop/0.json")
    text = manifest.read_text()
    manifest.write_text(text.replace('"crop.size": 64', '"crop.size": 32'))
    assert ("altered", str(manifest)) in found()
    manifest.write_text(text)
    assert found() == []
    write_job("crop", {"shard": "0"}, ["results/ct/0"], ["results/crops/0.txt"], host="node2")  # whole, but another
    report = audit("results", params_now)
    assert report.findings == []
    assert report.seal != before


def test_broken_manifest_is_altered() -> None:
    Path("results/manifest/crop/0.json").write_text('{"rule": ')
    assert ("altered", "results/manifest/crop/0.json") in found()


def test_rows_are_told_apart_by_scan() -> None:
    row = {"scan_id": "a", "path": "x"}
    assert check.flat({"rows": [row, row | {"scan_id": "b"}]})["rows[b].path"] == "x"
