"""Questions asked while a run works leave that run alone: its locks stay, and a second run is still refused."""

from pathlib import Path

import pandas as pd
import pytest

from helpers.cluster import wait_for
from helpers.copies import copy_of
from helpers.faults import Fault, Plan
from helpers.runs import snakemake, started
from vertegrade.levels import LABEL_OF

pytestmark = pytest.mark.slow
PICTURE = "results/report/montage.png"


def lineage_of_a_grade(folder: Path) -> str:
    row = pd.read_parquet(folder / "results/predictions/dae.parquet").query("evaluable").iloc[0]
    level = next(name for name, label in LABEL_OF.items() if label == row["vertebra"])
    return f"results/lineage/{row['scan_id']}_{level}.html"


def test_questions_leave_a_live_run_its_locks_and_a_second_run_is_refused(finished: Path, tmp_path: Path) -> None:
    # field test A4
    folder = copy_of(finished, tmp_path, "report/montage.png")
    plan = Plan(tmp_path, Fault("*report/montage.png", "wait"))
    locks = folder / ".snakemake/locks"
    with started(folder, "--cores", "1", PICTURE, **plan.environment) as live:
        try:
            wait_for(plan.all_happened, "the live run's job", 300)
            held = {file.name: file.read_bytes() for file in locks.iterdir()}
            assert held
            why = snakemake(folder, "--cores", "1", "why", TARGET=PICTURE)
            assert why.returncode == 0, why.stderr
            assert "montage: results/report/montage.png is not there" in why.stdout
            assert "A run works here" in why.stdout
            audit = snakemake(folder, "--cores", "1", "audit")
            assert "missing: results/report/montage.png" in audit.stderr
            assert "A run works here" in audit.stderr
            lineage = snakemake(folder, "--cores", "1", lineage_of_a_grade(folder))
            assert lineage.returncode == 0, lineage.stderr
            assert {file.name: file.read_bytes() for file in locks.iterdir()} == held
            second = snakemake(folder, "--cores", "1", PICTURE)
            assert second.returncode != 0
            assert "Directory cannot be locked" in second.stdout + second.stderr
            plan.go()
            assert live.wait(300) == 0
        finally:  # its end is waited for, also where something above fails
            plan.go()
            live.terminate()
    assert (folder / PICTURE).exists()
    assert not any(locks.iterdir())


def test_unlock_removes_the_lock_of_a_killed_run(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    lock = folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir()
    lock.write_text(f"{PICTURE}\n")
    assert snakemake(folder, "--unlock").returncode == 0
    assert not lock.exists()
