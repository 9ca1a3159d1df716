"""Disks that are full, read-only or late, and wrong clocks: a clear error, nothing harmed, a rerun mends it."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from helpers.copies import assert_whole, copy_of, results_of
from helpers.disks import mount, small_disk
from helpers.faults import Fault, Plan
from helpers.runs import Config, snakemake

pytestmark = pytest.mark.slow
CROPS = ["crops/0.npy", "crops/0_frames.npy", "crops/0.parquet"]
# As many as the finished run had: on other numbers of threads torch adds in another order.
CORES = "2"
OFTEN: Config = {"dae": {"train": {"save_every_s": 1.0e-6}}}


def make(folder: Path, goal: str, config: Config | None = None) -> str:
    run = snakemake(folder, "--cores", CORES, f"results/{goal}", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    return run.stdout + run.stderr


def fail(folder: Path, goal: str, config: Config | None = None) -> str:
    run = snakemake(folder, "--cores", CORES, f"results/{goal}", config=config)
    assert run.returncode != 0
    return run.stdout + run.stderr


def test_disk_full_while_a_shard_is_written(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, *CROPS)
    crops = folder / "results/crops"
    others = sum(path.stat().st_size + 8192 for path in crops.iterdir())
    with small_disk(crops, others + (finished / "results/crops/0.npy").stat().st_size // 2):
        assert os.strerror(errno.ENOSPC) in fail(folder, "crops/0.parquet")
        assert not [path.name for path in crops.iterdir() if path.name.startswith(("0", ".tmp"))]
        mount("-o", "remount,size=1g", str(crops))
        make(folder, "crops/0.parquet")
        assert_whole(folder, finished)


def test_disk_full_while_a_checkpoint_is_written(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, "dae")
    state = folder / "results/dae/state"
    state.mkdir(parents=True)
    size = max(path.stat().st_size for path in (finished / "results/dae/state").rglob("*.safetensors"))
    with small_disk(state, size * 3 // 2):
        assert os.strerror(errno.ENOSPC) in fail(folder, "dae/weights.safetensors", OFTEN)
        left = [path.name for path in state.rglob("*") if path.is_file() and path.name != "lock"]
        assert sorted(left) == ["step-00000001.safetensors", "step-00000001.sha256"]
        mount("-o", "remount,size=1g", str(state))
        assert "resumed at step 1 of 30" in make(folder, "dae/weights.safetensors", OFTEN)
        assert_whole(folder, finished)


def test_read_only_results(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, *CROPS)
    results, before = folder / "results", results_of(folder)
    mount("--bind", str(results), str(results))
    try:
        mount("-o", "remount,ro,bind", str(results))
        assert os.strerror(errno.EROFS) in fail(folder, "crops/0.parquet")
        assert results_of(folder) == before
    finally:
        subprocess.run(["umount", str(results)], check=True)
    make(folder, "crops/0.parquet")
    assert_whole(folder, finished)


def test_a_file_that_shows_late(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path, *CROPS)
    plan = Plan(tmp_path, Fault("*crops/0.npy", "show late", amount=30))
    goal = "results/crops/0.parquet"
    run = snakemake(folder, "--cores", CORES, "--latency-wait", "120", goal, **plan.environment)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert plan.all_happened()
    assert "Waiting at most 120 seconds for missing files" in run.stdout + run.stderr
    assert_whole(folder, finished)


def test_an_input_from_the_future(finished: Path, tmp_path: Path) -> None:
    """A file server whose clock runs an hour fast: its content is the same, so nothing is made again."""
    folder = copy_of(finished, tmp_path, linked=False)
    later = time.time() + 3600
    os.utime(folder / "results/landmarks/0.parquet", (later, later))
    again = snakemake(folder, "--cores", CORES, "results/crops/0.parquet")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert_whole(folder, finished)


@pytest.mark.parametrize("wrong_s", [3600, -3600])
def test_a_node_whose_clock_is_wrong(finished: Path, tmp_path: Path, wrong_s: int) -> None:
    """Where nodes give files their times: Snakemake gives those of a job its own time, and nothing is made anew."""
    folder = copy_of(finished, tmp_path, *CROPS)
    plan = Plan(tmp_path, Fault("*results/crops/0*", "other time", times=len(CROPS), amount=wrong_s))
    run = snakemake(folder, "--cores", CORES, "results/crops/0.parquet", **plan.environment)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert plan.all_happened()
    assert all(abs((folder / "results" / name).stat().st_mtime - time.time()) < 1800 for name in CROPS)
    again = snakemake(folder, "--cores", CORES, "-n", "results/crops/0.parquet")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert_whole(folder, finished)


def test_times_lost_by_a_copy(finished: Path, tmp_path: Path) -> None:
    """After `cp` or `rsync` without times nothing is made again: the manifests tell that the content is the same."""
    folder = copy_of(finished, tmp_path, linked=False)
    for number, path in enumerate(sorted((folder / "results").rglob("*"), reverse=True)):
        moment = 1.0e9 + 7 * number
        os.utime(path, (moment, moment))
    again = snakemake(folder, "--cores", CORES, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert_whole(folder, finished)
