"""An export is a job of its own, planned where it was asked for and nowhere else."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.runs import snakemake
from vertegrade import commands


def planned(text: str) -> set[str]:
    return set(re.findall(r"^(\w+) +\d+$", text, re.MULTILINE))


def test_the_export_is_planned_for_every_shard_when_asked_for(tmp_path: Path) -> None:
    config = {"export": {"write": ["seg", "capture"]}}
    run = snakemake(tmp_path, "-n", "--quiet", "rules", "--", "export", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    assert {"export_scans", "patients", "counterfactual", "localization_picture"} <= planned(run.stdout + run.stderr)
    everything = snakemake(tmp_path, "-n", "--quiet", "rules", config=config)
    assert "export_scans" in planned(everything.stdout + everything.stderr)


def test_no_run_exports_unasked(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "-n", "--quiet", "rules")
    assert "patients" in planned(run.stdout + run.stderr)
    assert "export_scans" not in planned(run.stdout + run.stderr)
    asked = snakemake(tmp_path, "-n", "export")
    assert asked.returncode != 0
    assert "export.write names nothing to write" in asked.stdout + asked.stderr


def test_the_command_asks_for_everything_or_for_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def run(line: list[str], check: bool) -> SimpleNamespace:
        called.append(line)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    for more in ([], ["--write", "sr", "fhir"]):
        monkeypatch.setattr("sys.argv", ["vertegrade", "export", "mine.yaml", "--cores", "2", *more])
        with pytest.raises(SystemExit):
            commands.main()
    everything = "export={write: [seg, sr, capture, fhir, markups, totalsegmentator, spineps]}"
    assert called[0][-6:] == ["--configfile", "mine.yaml", "--config", everything, "--", "export"]
    assert called[1][-3] == "export={write: [sr, fhir]}"
