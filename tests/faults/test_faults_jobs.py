"""Jobs and the Snakemake master are killed at the worst moment: nothing half-made gets a name, a rerun mends it."""

import signal
from pathlib import Path

import pytest

from helpers.cluster import wait_for
from helpers.copies import assert_whole, copy_of, results_of
from helpers.faults import Fault, Plan
from helpers.runs import snakemake, started

pytestmark = pytest.mark.slow
CROPS = ["crops/0.npy", "crops/0_frames.npy", "crops/0.parquet"]


def target(name: str) -> str:
    return f"results/{name}"


@pytest.mark.parametrize(
    ("removed", "file", "goal"),
    [
        (CROPS, "*crops/0.npy", "crops/0.parquet"),
        (["ct/0", "ct/0.parquet"], "*results/ct/0", "ct/0.parquet"),
        (["report/cohort.html"], "*report/cohort.html", "report/cohort.html"),
    ],
    ids=["shard", "folder of a shard", "report"],
)
def test_job_killed_before_its_file_has_a_name(
    finished: Path, tmp_path: Path, removed: list[str], file: str, goal: str
) -> None:
    folder = copy_of(finished, tmp_path, *removed)
    plan = Plan(tmp_path, Fault(file, "kill"))
    killed = snakemake(folder, "--cores", "1", target(goal), **plan.environment)
    assert killed.returncode != 0
    assert plan.all_happened()
    assert not results_of(folder) & {name for name in results_of(finished) if name.startswith(tuple(removed))}
    again = snakemake(folder, "--cores", "1", target(goal), **plan.environment)
    assert again.returncode == 0, (again.stdout + again.stderr)[-8000:]
    assert_whole(folder, finished)


def test_master_killed(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, *CROPS)
    plan = Plan(tmp_path, Fault("*crops/0.npy", "wait"))
    with started(folder, "--cores", "1", target("crops/0.parquet"), **plan.environment) as job:
        wait_for(plan.all_happened, "the crop job at its first file", 300)
        job.kill()
        assert job.wait(60) == -signal.SIGKILL
    locked = snakemake(folder, "--cores", "1", target("crops/0.parquet"))
    assert locked.returncode != 0
    assert "--unlock" in locked.stdout + locked.stderr
    # The orphan finishes what it did; the next run does not trust it and makes all of the job's files again.
    plan.go()
    wait_for((folder / "results/crops/0.parquet").exists, "the orphan's last file", 300)
    assert snakemake(folder, "--unlock").returncode == 0
    again = snakemake(folder, "--cores", "1", target("crops/0.parquet"))
    assert again.returncode == 0, (again.stdout + again.stderr)[-8000:]
    assert "rule crop:" in again.stdout + again.stderr
    assert_whole(folder, finished)


def test_master_stopped_lets_its_jobs_end(finished: Path, tmp_path: Path) -> None:
    """SIGTERM to Snakemake: it waits for the running job, starts no other, and leaves no lock."""
    pictures = ["report/montage.png", "report/counterfactuals.png"]
    folder = copy_of(finished, tmp_path, *pictures)
    plan = Plan(tmp_path, Fault("*results/report/*.png", "wait"))
    goals = [target(picture) for picture in pictures]
    with started(folder, "--cores", "1", *goals, **plan.environment) as job:
        wait_for(plan.all_happened, "the first picture", 300)
        job.send_signal(signal.SIGTERM)
        plan.go()
        assert job.wait(300) != 0
    (made,) = [goal for goal in goals if (folder / goal).exists()]
    before = (folder / made).stat().st_mtime_ns
    again = snakemake(folder, "--cores", "1", *goals)
    assert again.returncode == 0, (again.stdout + again.stderr)[-8000:]
    assert (folder / made).stat().st_mtime_ns == before
    assert_whole(folder, finished)
