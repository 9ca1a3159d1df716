"""GPUs asked for in other ways, on a SLURM that has such GPUs; and what is found before the first job."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from helpers.cluster import Cluster, missing, running
from helpers.copies import assert_whole, copy_of
from helpers.faults import Fault, Plan
from helpers.runs import Config
from helpers.slurm_project import Project

pytestmark = pytest.mark.slow
NODES = {"cpu1": "", "cpu2": "", "slices": "Gres=gpu:1g.5gb:2"}
NODES |= dict.fromkeys(("gpu1", "gpu2"), "Gres=gpu:nvidia-a100:2")
DEVICES = [
    "NodeName=gpu[1-2] Name=gpu Type=nvidia-a100 File=/dev/null,/dev/zero",
    "NodeName=slices Name=gpu Type=1g.5gb File=/dev/null,/dev/zero",
]
PARTITIONS = """
PartitionName=gpu-long Nodes=gpu1,gpu2 MaxTime=60 State=UP
PartitionName=slices Nodes=slices MaxTime=INFINITE State=UP
"""
LOCALIZED = [f"landmarks/{shard}{end}.parquet" for shard in (0, 1) for end in ("", "_scans")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if missing():
        pytest.skip(f"SLURM is not here ({', '.join(missing())})")
    with TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        with running(Cluster(folder, PARTITIONS, NODES, DEVICES)) as ours:
            yield ours


def uncommented(project: Project, *beginnings: str) -> None:
    """Put lines of the project's profile in force that stand in it as comments, as its words say."""
    profile = project.folder / "slurm/profile.yaml"
    lines = profile.read_text().splitlines()
    for beginning in beginnings:
        (place,) = (number for number, line in enumerate(lines) if line.lstrip().startswith(f"# {beginning}"))
        lines[place] = lines[place].replace("# ", "", 1)
    profile.write_text("\n".join(lines))


def resources(rule: str, *given: str) -> list[str]:
    return ["--set-resources", *(f"{rule}:{resource}" for resource in given)]


def new_jobs(cluster: Cluster, earlier: int, rule: str) -> list[dict[str, str]]:
    return [job for job in cluster.jobs()[earlier:] if job["Comment"].startswith(f"rule_{rule}")]


def test_gpus_by_gres_alone_as_the_profile_says(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """The commented lines of the profile, on a cluster whose `sbatch` refuses `--gpus`."""  # field test C2
    folder = copy_of(finished, tmp_path, *LOCALIZED)
    project = Project(folder, cluster)
    uncommented(project, "gpu: 0", 'gres: "gpu:1"')
    cluster.wrap("sbatch", 'case "$*" in *--gpus*) echo "sbatch: error: use --gres" >&2; exit 1;; esac')
    earlier = len(cluster.jobs())
    project.finish(project.start(*(f"results/{name}" for name in LOCALIZED)))
    cluster.wrap("sbatch")
    jobs = new_jobs(cluster, earlier, "localize")
    assert [(job["Partition"], job["TresPerNode"], job["JobState"]) for job in jobs] == [
        ("gpu", "gres:gpu:1", "COMPLETED")
    ] * 2
    assert_whole(folder, finished)


def test_training_on_all_gpus_that_gres_asks_for(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """Of two nodes, by `gres`: a process for each GPU, whichever resource asks for them."""  # field test C2
    folder = copy_of(finished, tmp_path, "dae")
    earlier = len(cluster.jobs())
    short: Config = {"dae": {"train": {"steps": 4}}}
    wanted = ["slurm_partition=gpu", "gpu=0", "gres=gpu:1", "nodes=2", "tasks=2", "tasks_per_gpu=0", "mpi=srun"]
    project = Project(folder, cluster, config=short)
    goal = "results/dae/weights.safetensors"
    project.finish(project.start(goal, "--set-threads", "train_dae=1", *resources("train_dae", *wanted)))
    (job,) = new_jobs(cluster, earlier, "train_dae")
    assert (job["JobState"], job["NodeList"], job["TresPerNode"]) == ("COMPLETED", "gpu[1-2]", "gres:gpu:1")
    assert "2 processes on 2 node(s): srun --overlap" in (folder / "logs/train_dae.log").read_text()


def test_a_type_with_a_hyphen_mail_and_several_partitions(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    """What the plugin refuses in `gres` goes through `slurm_extra`; SLURM chooses among partitions."""  # field test C2
    folder = copy_of(finished, tmp_path, *LOCALIZED[:2])
    earlier = len(cluster.jobs())
    extra = "slurm_extra=--gpus-per-node=nvidia-a100:2 --mail-type=FAIL --mail-user=me@example.org"
    wanted = resources("localize", "gpu=0", "runtime=50", "slurm_partition=slices,gpu-long", extra)
    project = Project(folder, cluster)
    project.finish(project.start(f"results/{LOCALIZED[0]}", *wanted))
    (job,) = new_jobs(cluster, earlier, "localize")
    seen = [job[name] for name in ("Partition", "TresPerNode", "MailUser", "MailType", "JobState")]
    assert seen == ["gpu-long", "gres:gpu:nvidia-a100:2", "me@example.org", "FAIL", "COMPLETED"]


def test_without_requeue_a_lost_job_comes_again_with_more_memory(
    cluster: Cluster, finished: Path, tmp_path: Path
) -> None:
    """`slurm-no-requeue` in place of `slurm-requeue`: SLURM does not start the job anew, Snakemake does, with more."""
    folder = copy_of(finished, tmp_path, "crops/0.npy", "crops/0_frames.npy", "crops/0.parquet")  # field test C2
    project = Project(folder, cluster)
    profile = project.folder / "slurm/profile.yaml"
    profile.write_text(profile.read_text().replace("\nslurm-requeue:", "\n# slurm-requeue:"))
    uncommented(project, "slurm-no-requeue: true")
    plan = Plan(tmp_path, Fault("*crops/0.npy", "wait"))
    earlier = len(cluster.jobs())
    started = project.start("results/crops/0.parquet", **plan.environment)
    project.wait_for(started, lambda: plan.happened(0), "a crop that waits")
    cluster.crash(new_jobs(cluster, earlier, "crop")[0]["NodeList"])
    plan.go()
    project.finish(started)
    first, second = new_jobs(cluster, earlier, "crop")
    assert (first["JobState"], first["Requeue"], first["Restarts"]) == ("NODE_FAIL", "0", "0")
    assert (first["MinMemoryNode"], second["MinMemoryNode"], second["JobState"]) == ("3000M", "6000M", "COMPLETED")
    assert_whole(folder, finished)


def test_check_cohort_tries_each_kind_of_job_before_the_first(cluster: Cluster, tmp_path: Path) -> None:
    """`sbatch --test-only` for each kind: wrong gres, memory, plugin's refusals, slices, a time that none allows."""
    project = Project(tmp_path, cluster)  # field test C3
    locks = [tmp_path / ".snakemake/locks" / name for name in ("0.input.lock", "0.output.lock")]
    locks[0].parent.mkdir(parents=True)
    for lock in locks:
        lock.write_text("a run that works\n")
    tiny = "tests/helpers/tiny.yaml"
    profile = tmp_path / "slurm/profile.yaml"
    slice_of_gpu = 'encode: {slurm_partition: slices, gpu: 0, gres: "gpu:1g.5gb:1"}'
    profile.write_text(profile.read_text().replace("encode: *gpu", slice_of_gpu))
    assert project.check_cohort(tiny)[-1] == "the phantom cohort: no problem found"
    wrong = """\
  encode: {slurm_partition: "gpu,gpu-long", gpu: 0, gres: "gpu:h100:1"}
  localize: {slurm_partition: gpu-long, runtime: 90}
  fit_steps: {slurm_partition: gpu}
  looks_at: {slurm_partition: gpu}
  counterfactual: {slurm_partition: gpu, mem_mb: 99999999}
  train_dae: {slurm_partition: slices, gpu: 0, gres: "gpu:1g.5gb:2"}
  crop: {slurm_extra: "--gres=gpu:1"}
  figures: {mem_mb: "24000 * attempt"}
"""
    head, _, tail = profile.read_text().partition("set-resources:\n")
    profile.write_text(f"{head}set-resources:\n{wrong}{tail[tail.index('# Instead of these names') :]}")
    *told, last = project.check_cohort(tiny)
    assert last == "the phantom cohort: 4 problem(s)", told
    refused = "slurm/profile.yaml: SLURM would refuse"
    threads = "threads 1, mem_mb 4000, runtime 30"
    for jobs, why in [
        (
            f"{refused} encode (asks for slurm_partition gpu,gpu-long, {threads}, gres gpu:h100:1)",
            "allocation failure: Requested node",
        ),
        (
            "; counterfactual, fit_steps, looks_at (asks for slurm_partition gpu, threads 2, mem_mb 99999999",
            "allocation failure: ",
        ),
        (
            f"{refused} localize (asks for slurm_partition gpu-long, ",
            "partition gpu-long allows 60 minutes; set its runtime",
        ),
        (f"{refused} train_dae (", "asks for 2 slices of a GPU (1g.5gb), and slices (MIG) cannot train together"),
        (f"{refused} crop (", "is not allowed in the 'slurm_extra' parameter"),
        (f"note: {refused} the last try of evaluate, figures (then asks for ", "allocation failure: Requested node"),
    ]:
        assert any(jobs in line and why in line for line in told), (jobs, told)
    assert all(lock.read_text() == "a run that works\n" for lock in locks)
