"""What goes wrong on clusters, on a real one: the results are those of an undisturbed run."""

import errno
import os
from pathlib import Path

import pytest

from helpers.cluster import Cluster, wait_for
from helpers.copies import assert_whole, copy_of
from helpers.disks import mount, small_disk
from helpers.faults import Fault, Plan
from helpers.runs import Config
from helpers.slurm_project import Project

pytestmark = pytest.mark.slow
CROPS = [f"crops/{shard}{end}" for shard in (0, 1) for end in (".npy", "_frames.npy", ".parquet")]
OFTEN: Config = {"dae": {"train": {"save_every_s": 1.0e-6}}}
WEIGHTS = "results/dae/weights.safetensors"


def checkpoint(step: int) -> str:
    return f"*/state/*/step-{step:08d}.safetensors"


def jobs_of(cluster: Cluster, rule: str) -> list[dict[str, str]]:
    """Jobs of a rule, oldest first."""
    return [job for job in cluster.jobs() if job.get("Comment") == f"rule_{rule}"]


def states(cluster: Cluster) -> list[str]:
    """SLURM's word for what became of each job, oldest first."""
    return [job["JobState"] for job in cluster.jobs()]


def megabytes(job: dict[str, str]) -> float:
    """Memory that a job asked for."""
    text = job["MinMemoryNode"]
    return float(text.rstrip("MG")) * (1024 if text.endswith("G") else 1)


def fails_at_first(times: int, status: int, words: str, flag: Path) -> str:
    """Shell that makes a program fail for its first calls."""
    calls = " ".join(str(number) for number in range(times))
    return f"for n in {calls}; do mkdir {flag}.$n 2>/dev/null && {{ echo '{words}' >&2; exit {status}; }}; done"


def test_sbatch_status_memory_and_kills(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """Shard 0: refused by sbatch, then killed. Shard 1: out of memory until it gets more. The status command fails."""
    folder = copy_of(finished, tmp_path, *CROPS)
    project = Project(folder, cluster)
    refusal = fails_at_first(1, 1, "sbatch: error: Socket timed out on send/recv operation", tmp_path / "sbatch")
    cluster.wrap("sbatch", f'case "$*" in *rule_crop_wildcards_0*) {refusal};; esac')
    cluster.wrap("squeue", fails_at_first(3, 1, "slurm_load_jobs error: Unable to contact controller", tmp_path / "q"))
    plan = Plan(tmp_path, Fault("*crops/0.npy", "kill"), Fault("*crops/1.npy", "take memory", times=2, amount=900))
    memory = ["--set-resources", "crop:mem_mb=attempt * 800"]
    goals = ["results/crops/0.parquet", "results/crops/1.parquet"]
    output = project.finish(project.start(*goals, *memory, **plan.environment))
    assert "Socket timed out" in output
    assert (tmp_path / "q.2").is_dir()
    assert plan.all_happened()
    first, second = jobs_of(cluster, "crop_wildcards_0")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    # What is said of a failed job: its number, and its own log, which names number and node.  # field test C4
    assert f"SLURM-job '{first['JobId']}' failed" in output
    assert f"on 1 thread(s), SLURM job {first['JobId']} on {first['NodeList']}" in output
    first, second = jobs_of(cluster, "crop_wildcards_1")
    assert first["JobState"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert "exceeded memory limit" in cluster.logs(10**9) + output
    assert second["JobState"] == "COMPLETED"
    assert_whole(folder, finished)


def test_disk_full_until_somebody_makes_room(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """A job without room fails and leaves nothing; submitted anew once there is room, it makes its files."""
    folder = copy_of(finished, tmp_path, *CROPS[:3])
    project = Project(folder, cluster)
    crops = folder / "results/crops"
    others = sum(path.stat().st_size + 8192 for path in crops.iterdir())
    earlier = len(cluster.jobs())
    with small_disk(crops, others + (finished / "results/crops/0.npy").stat().st_size // 2):
        started = project.start("results/crops/0.parquet")
        project.wait_for(started, lambda: states(cluster)[earlier:][:1] == ["FAILED"], "a job without room")
        assert not [path.name for path in crops.iterdir() if path.name.startswith(("0", ".tmp"))]
        mount("-o", "remount,size=1g", str(crops))
        output = project.finish(started)
        assert os.strerror(errno.ENOSPC) in output
        assert states(cluster)[-1] == "COMPLETED"
        assert_whole(folder, finished)


def test_training_loses_its_node_and_its_time(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """The node of a training dies: SLURM starts the job anew elsewhere. Then its time is up: Snakemake asks again."""
    folder = copy_of(finished, tmp_path, "dae")
    project = Project(folder, cluster, config=OFTEN)
    plan = Plan(tmp_path, Fault(checkpoint(5), "wait"), Fault(checkpoint(12), "wait"))
    started = project.start(WEIGHTS, **plan.environment)
    project.wait_for(started, lambda: plan.happened(0), "checkpoint 5")
    (job,) = jobs_of(cluster, "train_dae")
    node = job["NodeList"]
    cluster.crash(node)
    project.wait_for(started, lambda: plan.happened(1), "the training on the other node")
    job = cluster.job(job["JobId"])
    assert job["Restarts"] == "1"
    assert job["NodeList"] != node
    cluster.command("scontrol", "update", f"jobid={job['JobId']}", "timelimit=1")
    project.wait_for(started, lambda: cluster.job(job["JobId"])["JobState"] != "RUNNING", "the end of the job's time")
    plan.go()
    output = project.finish(started)
    first, second = jobs_of(cluster, "train_dae")
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert megabytes(second) == 2 * megabytes(first)
    assert "stopped at step 13 of 30: SIGTERM; the state is saved" in output
    assert "resumed at step 13 of 30" in (folder / "logs/train_dae.log").read_text()
    assert_whole(folder, finished)


def test_driver_job_that_is_stopped_and_submitted_again(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """Snakemake runs as a job itself; near its end it cancels its jobs, a training saves its state, and all goes on."""
    folder = copy_of(finished, tmp_path, "dae")
    project = Project(folder, cluster, config=OFTEN)
    plan = Plan(tmp_path, Fault(checkpoint(5), "wait"))
    driver = project.submit("slurm/driver.sh", WEIGHTS, **plan.environment)
    wait_for(lambda: plan.happened(), "checkpoint 5", 900)
    training = jobs_of(cluster, "train_dae")[-1]
    cluster.command("scancel", "--signal=INT", "--batch", driver)
    wait_for(lambda: cluster.job(training["JobId"])["JobState"] != "RUNNING", "the training cancelled", 300)
    plan.go()
    wait_for(lambda: cluster.job(driver)["JobState"] == "FAILED", "the driver's end", 300)
    wait_for(lambda: cluster.job(training["JobId"])["JobState"] == "CANCELLED", "the training's end", 300)
    assert "stopped at step 6 of 30: SIGTERM; the state is saved" in (folder / "logs/train_dae.log").read_text()
    again = project.submit("slurm/driver.sh", WEIGHTS, **plan.environment)
    wait_for(lambda: cluster.job(again)["JobState"] == "COMPLETED", "the second driver's end", 900)
    assert "resumed at step 6 of 30" in (folder / "logs/train_dae.log").read_text()
    assert_whole(folder, finished)


def test_jobs_of_a_driver_job_get_their_own_cpus(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """Snakemake runs in a job of one CPU, where threads are limited too; its jobs get what their rules ask for."""
    folder = copy_of(finished, tmp_path, "pca")  # field test C4
    project = Project(folder, cluster)
    driver = project.submit("slurm/driver.sh", "results/pca/components.safetensors", OMP_NUM_THREADS="1")
    on_its_way = ("PENDING", "RUNNING", "COMPLETING")
    wait_for(lambda: cluster.job(driver)["JobState"] not in on_its_way, "the driver's end", 900)
    assert cluster.job(driver)["JobState"] == "COMPLETED", (folder / f"vertegrade-{driver}.log").read_text()
    job = cluster.jobs()[-1]
    assert (cluster.job(driver)["NumCPUs"], job["NumCPUs"], job["MinMemoryNode"]) == ("1", "2", "8000M")
    log = (folder / "logs/train_pca.log").read_text()
    assert f"on 2 thread(s), SLURM job {job['JobId']} on {job['NodeList']}" in log
    assert_whole(folder, finished)
