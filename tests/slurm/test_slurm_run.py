"""`snakemake --profile slurm`, word for word, on a real SLURM: the tiny workflow gives the local run's results."""

import json
from pathlib import Path

import pytest

from helpers.cluster import Cluster, missing, processes_of, running
from helpers.copies import assert_whole, copy_of
from helpers.runs import snakemake
from helpers.slurm_project import Project

pytestmark = pytest.mark.slow
GPU_RULES = {"train_dae", "encode", "pictures_counterfactual_fit_steps_looks_at"}  # the last one is a group
MINUTES = {"measure": 5, "localization_picture": 15}


def test_whole_workflow(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    project = Project(tmp_path, cluster)
    project.finish(project.start())
    jobs = cluster.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    for job in jobs:
        gpu = bool(GPU_RULES & set(job["Comment"].removeprefix("rule_").split("_wildcards_")))
        assert (job.get("TresPerJob") == "gres:gpu:1") is gpu, job
        if gpu:
            assert (job["Partition"], job["NodeList"][:3]) == ("gpu", "gpu")
    assert len([job for job in jobs if job.get("TresPerJob")]) == 4
    # More than forty jobs of rules in half as many jobs of SLURM: the groups work.
    assert 2 * len(jobs) <= len(list((tmp_path / "results/manifest").rglob("*.json")))
    assert_whole(tmp_path, finished)
    mine, other = (json.loads((run / "results/summary.json").read_text()) for run in (tmp_path, finished))
    assert mine["methods"] == other["methods"]
    assert "Nothing to be done" in project.finish(project.start("-n"))


def test_a_group_asks_slurm_for_what_its_jobs_take_in_turn(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """The plugin runs a group's jobs one by one: CPUs and memory of the largest, the time of all."""  # field test C1
    made = ["measurements", "latents/keypoints", "localization"]
    folder = copy_of(finished, tmp_path, *made)
    earlier = len(cluster.jobs())
    goals = [f"results/{made[place]}/{shard}{end}" for place, end in ((0, ".parquet"), (2, "")) for shard in (0, 1)]
    project = Project(folder, cluster)
    project.finish(project.start(*goals))
    (job,) = cluster.jobs()[earlier:]
    minutes = 2 * (MINUTES["measure"] + MINUTES["localization_picture"])
    asked = (job["NumCPUs"], job["MinMemoryNode"], job["TimeLimit"])
    assert asked == ("1", "3000M", f"{minutes // 60:02d}:{minutes % 60:02d}:00")
    assert_whole(folder, finished)


def test_nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    if missing():
        pytest.skip("SLURM is not here")
    folder = tmp_path_factory.mktemp("c")
    with pytest.raises(ZeroDivisionError), running(Cluster(folder)) as cluster:
        cluster.command("sbatch", "--output=/dev/null", "--wrap=srun sleep 600")
        assert processes_of(folder / "slurm.conf")
        1 / 0  # noqa: B018
    assert not processes_of(folder / "slurm.conf")


def test_profile_runs_where_jobs_fit_best(tmp_path: Path) -> None:
    """The example of partition limits is read by the plugin's own reader and sends jobs where it says."""
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    from helpers.runs import ROOT

    partitions = {partition.name: partition.limits for partition in read_partition_file(ROOT / "slurm/partitions.yaml")}
    assert partitions["short"].max_runtime == 240
    assert partitions["gpu"].max_gpu == 4
    run = snakemake(
        tmp_path,
        "-n",
        "--profile",
        str(ROOT / "slurm"),
        "--slurm-partition-config",
        str(ROOT / "slurm/partitions.yaml"),
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_training_on_two_nodes(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """One process for each GPU of two nodes takes the steps that one process takes."""
    folder = copy_of(finished, tmp_path, "dae")
    project = Project(folder, cluster)
    resources = ["slurm_partition=gpu", "gpu=2", "nodes=2", "tasks=2", "tasks_per_gpu=0", "mpi=srun"]
    wanted = [f"train_dae:{resource}" for resource in resources]
    goal = "results/dae/weights.safetensors"
    project.finish(project.start(goal, "--set-threads", "train_dae=1", "--set-resources", *wanted))
    job = next(job for job in cluster.jobs() if job.get("Comment") == "rule_train_dae" and job["NumNodes"] == "2")
    assert (job["JobState"], job["NodeList"], job["TresPerJob"]) == ("COMPLETED", "gpu[1-2]", "gres:gpu:2")
    log = (folder / "logs/train_dae.log").read_text()
    assert "2 processes on 2 node(s): srun --overlap" in log
    mine, other = (json.loads((run / "results/dae/training.json").read_text()) for run in (folder, finished))
    assert mine["steps"] == other["steps"]
    assert mine["loss_right_z"] == pytest.approx(other["loss_right_z"], rel=0.2)
