"""What `vertegrade grade` writes before its run, and what of it a person may change."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.nifti import write_nifti
from helpers.runs import ROOT
from vertegrade import commands, folder_run
from vertegrade.cohort.months import follow_up_pairs
from vertegrade.cohort.sheet import read_sheet
from vertegrade.folder_run import SHARDS, FolderError, beside, prepare, write_config


def test_the_config_names_sheet_results_and_model(tmp_path: Path) -> None:
    results = tmp_path / "out/grade"
    config = beside(results, "yaml")
    assert config == tmp_path / "out/grade.yaml"
    write_config(config, results, "shipped", beside(results, "scans.csv"))
    assert yaml.safe_load(config.read_text()) == {
        "run": {"results": str(results), "model": "shipped"},
        "cohort": {"sheet": f"{results}.scans.csv", "shards": SHARDS},
        "methods": "all",
    }


def test_what_a_person_added_stays_and_the_model_is_the_one_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "grade.yaml"
    config.write_text("localize: {overrides: Größe.csv}\nrun: {model: old, device: cpu}\nmethods: [dae]\n")
    write_config(config, tmp_path / "grade", "new", tmp_path / "scans.csv")
    found = yaml.safe_load(config.read_text())
    assert found["localize"] == {"overrides": "Größe.csv"}
    assert found["methods"] == ["dae"]
    assert found["run"] == {"model": "new", "device": "cpu", "results": str(tmp_path / "grade")}


def test_a_sheet_of_one_s_own_stays_in_the_config_and_an_old_place_does_not(tmp_path: Path) -> None:
    config, results = tmp_path / "grade.yaml", tmp_path / "grade"
    sheet = beside(results, "scans.csv")
    config.write_text("cohort: {sheet: mine.csv, shards: 8}\n")
    (told,) = write_config(config, results, "shipped", sheet)
    assert told == f"{config} names the sheet mine.csv: that is graded as it is, new scans are in {sheet} alone"
    assert yaml.safe_load(config.read_text())["cohort"] == {"sheet": "mine.csv", "shards": 8}
    config.write_text("cohort: {sheet: /before/grade.scans.csv}\n")
    (told,) = write_config(config, results, "shipped", sheet)
    assert told == f"{config}: cohort.sheet was /before/grade.scans.csv and is {sheet} now"
    assert yaml.safe_load(config.read_text())["cohort"]["sheet"] == str(sheet)
    assert write_config(config, results, "shipped", sheet) == []


def test_a_second_call_keeps_the_corrected_patient_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two scans of one person, corrected to one patient_id and given months: the run then follows them up."""
    for number, name in enumerate(("a/ct.nii.gz", "b/ct.nii.gz")):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        write_nifti(tmp_path / "in" / name, np.full((6, 7, 12 + number), -1000, np.int16))
    results = tmp_path / "out/grade"
    sheet = beside(results, "scans.csv")
    prepare(tmp_path / "in", results, "shipped", 1)
    assert f"note: {sheet}: what you correct in it (patient_id, months) stays" in capsys.readouterr().out
    first, second = read_sheet(sheet)
    assert first.patient_id != second.patient_id
    sheet.write_text(
        f"scan_id,patient_id,path,months\n{first.scan_id},ann,{first.path},0\n{second.scan_id},ann,{second.path},18.5\n"
    )
    prepare(tmp_path / "in", results, "shipped", 1)
    assert f"note: {sheet}: 2 row(s) that you edited stay as you wrote them" in capsys.readouterr().out
    kept = [(row.patient_id, row.months) for row in read_sheet(sheet)]
    assert kept == [("ann", "0"), ("ann", "18.5")]
    assert follow_up_pairs(read_sheet(sheet)) != []
    sheet.write_text("scan_id\n")
    with pytest.raises(FolderError, match=r"grade\.scans\.csv, or remove it"):
        prepare(tmp_path / "in", results, "shipped", 1)


def test_an_export_is_asked_for_in_the_config_and_told_by_each_run(tmp_path: Path) -> None:
    config, results = tmp_path / "grade.yaml", tmp_path / "grade"
    given = (config, results, "shipped", beside(results, "scans.csv"))
    assert write_config(*given) == []
    assert "export" not in yaml.safe_load(config.read_text())
    (told,) = write_config(*given, ["seg", "sr"])
    assert told.startswith(f"{config}: export.write asks for seg, sr: each run writes them into {results}-export; ")
    assert "sr, capture and fhir name the patient; to end this, remove export.write" in told
    assert yaml.safe_load(config.read_text())["export"] == {"write": ["seg", "sr"]}
    assert write_config(*given) == [told]
    assert yaml.safe_load(config.read_text())["export"] == {"write": ["seg", "sr"]}
    assert write_config(*given, ["fhir"])[0].startswith(f"{config}: export.write asks for fhir: ")
    assert yaml.safe_load(config.read_text())["export"] == {"write": ["fhir"]}


@pytest.mark.parametrize("text", ["run: [", "a text", "run: 3", "export: 3", "export: {write: 3}", "- a"])
def test_a_config_that_is_none_is_refused_by_name(text: str, tmp_path: Path) -> None:
    config = tmp_path / "grade.yaml"
    config.write_text(text)
    with pytest.raises(FolderError, match=r"grade\.yaml cannot be read as a config .*; correct it, or remove it"):
        write_config(config, tmp_path / "grade", "new", tmp_path / "scans.csv")
    assert config.read_text() == text


@pytest.mark.parametrize(("name", "targets"), [("grade", []), ("challenge", ["all", "challenge"])])
def test_snakemake_takes_the_targets_as_targets(
    name: str, targets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as config files, of which its option takes any number."""
    config = tmp_path / "mine.yaml"
    config.write_text("{}")
    run = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-n", "--configfile", str(config)]
    prepared: list[object] = []
    monkeypatch.setattr(folder_run, "prepare", lambda *given: prepared.append(given[-1]) or run)
    monkeypatch.setattr(sys, "argv", ["vertegrade", name, str(tmp_path), "--write", "seg", "sr"])
    called: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: called.append(command) or subprocess.CompletedProcess(command, 0)
    )
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    assert called == [[*run, "--", *targets]]
    assert prepared == [["seg", "sr"]]
