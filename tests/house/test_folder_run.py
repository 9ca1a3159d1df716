"""What `vertegrade grade` writes before its run, and what of it a person may change."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.runs import ROOT
from vertegrade import commands, folder_run
from vertegrade.folder_run import SHARDS, FolderError, beside, write_config


def test_the_config_names_sheet_results_and_model(tmp_path: Path) -> None:
    results = tmp_path / "out/grade"
    config = beside(results, "yaml")
    assert config == tmp_path / "out/grade.yaml"
    write_config(config, results, "shipped", beside(results, "scans.csv"))
    assert yaml.safe_load(config.read_text()) == {
        "run": {"results": str(results), "model": "shipped"},
        "cohort": {"sheet": f"{results}.scans.csv", "shards": SHARDS},
    }


def test_what_a_person_added_stays_and_the_model_is_the_one_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "grade.yaml"
    config.write_text("localize: {overrides: Größe.csv}\nrun: {model: old, device: cpu}\n")
    write_config(config, tmp_path / "grade", "new", tmp_path / "scans.csv")
    found = yaml.safe_load(config.read_text())
    assert found["localize"] == {"overrides": "Größe.csv"}
    assert found["run"] == {"model": "new", "device": "cpu", "results": str(tmp_path / "grade")}


@pytest.mark.parametrize("text", ["run: [", "a text", "run: 3", "- a"])
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
    monkeypatch.setattr(folder_run, "prepare", lambda *_: run)
    monkeypatch.setattr(sys, "argv", ["vertegrade", name, str(tmp_path)])
    called: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: called.append(command) or subprocess.CompletedProcess(command, 0)
    )
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    assert called == [[*run, "--", *targets]]
