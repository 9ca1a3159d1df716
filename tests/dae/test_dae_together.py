"""Two processes of torchrun train as one: the same steps, stopped and resumed together, and nobody is left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from dae.dae_tiny import MODEL, TRAIN, pixels, states
from helpers.cluster import wait_for
from vertegrade.graders.dae.pixels import Crops
from vertegrade.graders.dae.training import Trainer, batch_positions
from vertegrade.graders.dae.training_job import TrainingJob
from vertegrade.settings.dae import DaeTrainSettings
from vertegrade.tables import CROPS, PATIENT_SPLITS, check_table
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.processes import Peers
from vertegrade.workflow.code_hash import code_of

# Two settings that a training in parts must carry through: random draws of all kinds, and dropout.
DROPPING = MODEL.model_copy(update={"dropout": 0.1})
LONG = TRAIN.model_copy(update={"steps": 100_000, "save_every_s": 0.2})


def training(folder: Path, train: DaeTrainSettings = TRAIN) -> TrainingJob:
    """The tiny crops as the workflow has them: ten of training patients, two of others."""
    folder.mkdir(exist_ok=True)
    patients = [f"P{n // 6}" if n < 10 else "P2" for n in range(12)]
    table = pd.DataFrame({"patient_id": patients, "scan_id": [f"{p}-1" for p in patients], "vertebra": range(8, 20)})
    table = table.assign(crop=range(12), inside_fraction=1.0, slice_thickness_mm=1.0, evaluable=True, reason="")
    check_table(table, CROPS, "crops").to_parquet(folder / "0.parquet")
    np.save(folder / "0.npy", pixels())
    splits = pd.DataFrame({"patient_id": ["P0", "P1", "P2"], "split": ["train", "train", "test"], "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(folder / "splits.tsv", sep="\t", index=False)
    return TrainingJob(
        crops=[folder / "0.parquet"], pixels=[folder / "0.npy"], splits=folder / "splits.tsv", crop_settings={},
        model=DROPPING, train=train, states=states(folder / "state", code_of("train_dae")),
        weights=folder / "weights.safetensors",
        metrics=folder / "training.json", log=folder / "log", seed=3, device="cpu", threads=2,
    )  # fmt: skip


def newest_step(job: TrainingJob) -> int:
    return max((int(path.stem[5:]) for path in job.states.folder.glob("*/step-*.sha256")), default=0)


def workers(job: TrainingJob) -> list[psutil.Process]:
    """Processes anywhere that train this."""
    name = str(job.states.folder / "job.json")
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if name in (one.info["cmdline"] or []) and one.pid != os.getpid()]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    job = training(tmp_path_factory.mktemp("together"))
    job.run_together(2, 1)
    return job


def test_two_processes_take_the_steps_of_one_on_the_mean_of_both_losses(together: TrainingJob) -> None:
    crops = Crops([pixels()[:10]])
    torch.set_num_threads(1)
    alone = Trainer(crops, DROPPING, TRAIN, together.states.folder, 3, "cpu", Peers())

    def loss_of_both(positions: np.ndarray, part: int) -> torch.Tensor:
        halves = np.split(positions, 2)
        return (Trainer.loss(alone, halves[0], 0) + Trainer.loss(alone, halves[1], 1)) / 2

    alone.loss = loss_of_both  # type: ignore[method-assign]
    with torch.random.fork_rng([]):
        for alone.step in range(TRAIN.steps):
            alone.train_step()
    found = load_file(together.weights)
    for name, wanted in alone.averaged.state_dict().items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-5)
    assert json.loads(together.metrics.read_text())["patients"] == 2
    assert batch_positions(0, 4, 10, 3).max() < 10
    assert not workers(together)


def test_two_processes_give_the_same_bytes_each_time(together: TrainingJob, tmp_path: Path) -> None:
    again = training(tmp_path / "again")
    again.run_together(2, 1)
    assert again.weights.read_bytes() == together.weights.read_bytes()


def test_processes_that_load_other_code_refuse_it(tmp_path: Path) -> None:  # field test A3
    job = training(tmp_path / "job")
    job = job.model_copy(update={"states": states(tmp_path / "state", "planned")})
    job.metrics.write_text("{}")  # of an earlier attempt, which is no success of this one
    with pytest.raises(RuntimeError, match="training in 2 processes failed"):
        job.run_together(2, 1)
    assert not job.metrics.exists()


def test_stopped_together_and_resumed_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = training(tmp_path / "job", LONG)
    main = threading.main_thread().ident
    assert main

    def stop() -> None:
        wait_for(lambda: newest_step(job) > 3, "a checkpoint")
        signal.pthread_kill(main, signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(TrainingInterrupted) as stopped:
        job.run_together(2, 1)
    thread.join()
    assert stopped.value.reason == "SIGTERM"
    assert not workers(job)
    assert not job.weights.exists()
    log = job.log.read_text()
    step = newest_step(job)
    assert f"stopped at step {step} of 100000" in log
    # The number of processes is no part of what is trained: one goes on where two stopped.
    monkeypatch.setattr(Interruption, "reason", lambda self: "enough")
    with pytest.raises(TrainingInterrupted, match="75"):
        job.run()
    assert newest_step(job) == step + 1


def test_a_process_that_dies_ends_all_with_an_error(tmp_path: Path) -> None:
    job = training(tmp_path / "job", LONG)

    def kill_one() -> None:
        wait_for(lambda: newest_step(job) > 3, "a checkpoint")
        one = next(each for each in workers(job) if "torch.distributed.run" not in each.cmdline())
        one.kill()

    thread = threading.Thread(target=kill_one)
    thread.start()
    with pytest.raises(RuntimeError, match="training in 2 processes failed"):
        job.run_together(2, 1)
    thread.join()
    assert not workers(job)


def test_nobody_trains_on_when_the_job_is_killed(tmp_path: Path) -> None:
    job = training(tmp_path / "job", LONG)
    (tmp_path / "job.json").write_text(job.model_dump_json())
    code = "import sys; from pathlib import Path; from vertegrade.graders.dae.training_job import TrainingJob\n"
    code += "TrainingJob.model_validate_json(Path(sys.argv[1]).read_text()).run_together(2, 1)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    main = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job.json")], env=environment)
    wait_for(lambda: newest_step(job) > 3, "a checkpoint")
    main.kill()
    main.wait()
    wait_for(lambda: not workers(job), "the end of all processes")
    assert not job.weights.exists()


@pytest.mark.parametrize(
    ("processes", "nodes", "words"),
    [
        (3, 2, "3 GPUs on 2 nodes"),
        (4, 2, "only a SLURM job has"),
        (3, 1, "batch_size is 4, which 3 processes cannot share"),
    ],
)
def test_numbers_that_do_not_fit(
    processes: int, nodes: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    job = training(tmp_path / "job")
    with pytest.raises(ValueError, match=words):
        job.run_together(processes, nodes)


def test_slices_of_a_gpu_that_torch_does_not_see_cannot_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type's name need not say that it is a slice (MIG): torch, which sees one of them, does."""  # field test C2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    job = training(tmp_path / "job").model_copy(update={"device": "cuda"})
    with pytest.raises(ValueError, match="has 2 GPUs on each node, but torch sees 1"):
        job.run_together(2, 1, "a100")
    with pytest.raises(ValueError, match=r"asks for 2 slices of a GPU \(1g.5gb\)"):
        job.run_together(2, 1, "1g.5gb")


def test_what_went_wrong_in_a_process_is_in_the_log(tmp_path: Path) -> None:
    job = training(tmp_path / "job")
    (tmp_path / "job/0.npy").write_bytes(b"no array")
    with pytest.raises(RuntimeError, match="is said above in the log"):
        job.run_together(2, 1)
    assert "0.npy" in job.log.read_text()
