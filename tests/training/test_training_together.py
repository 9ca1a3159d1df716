"""Two processes of torchrun train as one: the same steps, stopped and resumed together, and nobody is left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.cluster import wait_for
from helpers.toy_training import STEPS, ToyJob, toy_batch, toy_loss, toy_training
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.seeds import own_generators, step_seed
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import code_of

TWO = {"gpu": 2}
LONG = {"steps": 1_000_000, "save_every_s": 0.2}


@pytest.fixture(autouse=True, scope="module")
def toys_are_found() -> Any:
    """The processes import the toy from tests/."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield


def toy_job(folder: Path, code: str = "", **settings: Any) -> ToyJob:
    folder.mkdir(exist_ok=True)
    states = States(folder=folder / "state", code=code or code_of("train_dae"), packages={})
    return ToyJob(
        states=states, metrics=folder / "training.json", log=folder / "log", seed=3, device="cpu", threads=2,
        weights=folder / "weights.safetensors", **settings,
    )  # fmt: skip


def newest_step(job: ToyJob) -> int:
    return max((int(path.stem[5:]) for path in job.states.folder.glob("toy/step-*.sha256")), default=0)


def workers(job: ToyJob) -> list[psutil.Process]:
    """Processes anywhere that train this."""
    name = str(job.states.folder / "job.json")
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if name in (one.info["cmdline"] or []) and one.pid != os.getpid()]


def once_it_trains(job: ToyJob, then: Callable[[], None]) -> threading.Thread:
    """Do something when there is a checkpoint."""

    def wait() -> None:
        wait_for(lambda: newest_step(job) > 3, "a checkpoint")
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, toys_are_found: None) -> ToyJob:
    job = toy_job(tmp_path_factory.mktemp("together"))
    job.start(TWO, 4)
    return job


def test_two_processes_take_the_steps_of_one_on_the_mean_of_both_losses(together: ToyJob, tmp_path: Path) -> None:
    def loss_of_both(network: nn.Module, step: Tensor) -> Tensor:
        losses = []
        for rank in range(2):
            torch.manual_seed(step_seed(3, int(step), rank))
            losses.append(toy_loss(network, *toy_batch(int(step), rank, 2)))
        return (losses[0] + losses[1]) / 2

    with own_generators(3, "cpu"):
        alone = toy_training(tmp_path, batch=lambda step: (torch.tensor(step),), loss=loss_of_both)
        metrics = alone.run()
    found = load_file(together.weights)
    for name, wanted in alone.network.state_dict().items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-5)
    told = json.loads(together.metrics.read_text())
    assert told["steps"] == STEPS
    assert told["loss"] == pytest.approx(metrics["loss"], rel=1e-4)
    assert not workers(together)


def test_two_processes_give_the_same_bytes_each_time(together: ToyJob, tmp_path: Path) -> None:
    again = toy_job(tmp_path / "again")
    again.start(TWO, 4)
    assert again.weights.read_bytes() == together.weights.read_bytes()


def test_processes_that_load_other_code_refuse_it(tmp_path: Path) -> None:  # field test A3
    job = toy_job(tmp_path / "job", code="planned")
    job.metrics.write_text("{}")  # of an earlier attempt, which is no success of this one
    with pytest.raises(RuntimeError, match="training in 2 processes failed"):
        job.start(TWO, 4)
    assert not job.metrics.exists()


def test_stopped_together_and_resumed_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = toy_job(tmp_path / "job", **LONG)
    main = threading.main_thread().ident
    assert main
    thread = once_it_trains(job, lambda: signal.pthread_kill(main, signal.SIGTERM))
    with pytest.raises(TrainingInterrupted) as stopped:
        job.start(TWO, 4)
    thread.join()
    assert stopped.value.reason == "SIGTERM"
    assert not workers(job)
    assert not job.weights.exists()
    step = newest_step(job)
    assert f"stopped at step {step} of 1000000" in job.log.read_text()
    # The number of processes is no part of what is trained: one goes on where two stopped.
    monkeypatch.setattr(Interruption, "reason", lambda self: "enough")
    with pytest.raises(TrainingInterrupted, match="75"):
        job.run()
    assert newest_step(job) == step + 1


def test_a_process_that_dies_ends_all_with_an_error(tmp_path: Path) -> None:
    job = toy_job(tmp_path / "job", **LONG)

    def kill_one() -> None:
        next(each for each in workers(job) if "torch.distributed.run" not in each.cmdline()).kill()

    thread = once_it_trains(job, kill_one)
    with pytest.raises(RuntimeError, match="training in 2 processes failed"):
        job.start(TWO, 4)
    thread.join()
    assert not workers(job)


def test_nobody_trains_on_when_the_job_is_killed(tmp_path: Path) -> None:
    job = toy_job(tmp_path / "job", **LONG)
    (tmp_path / "job.json").write_text(job.model_dump_json())
    code = "import sys; from pathlib import Path; from helpers.toy_training import ToyJob\n"
    code += "ToyJob.model_validate_json(Path(sys.argv[1]).read_text()).start({'gpu': 2}, 4)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    main = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job.json")], env=environment)
    once_it_trains(job, main.kill).join()
    main.wait()
    wait_for(lambda: not workers(job), "the end of all processes")
    assert not job.weights.exists()


@pytest.mark.parametrize(
    ("processes", "nodes", "words"),
    [
        (3, 2, "train_dae asks for 3 GPUs on 2 nodes"),
        (4, 2, "train_dae asks for 2 nodes, which only a SLURM job has"),
        (3, 1, "dae.train.batch_size is 4, which 3 processes cannot share"),
    ],
)
def test_numbers_that_do_not_fit(
    processes: int, nodes: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ValueError, match=words):
        toy_job(tmp_path / "job").start({"gpu": processes, "nodes": nodes}, 4)


def test_slices_of_a_gpu_that_torch_does_not_see_cannot_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type's name need not say that it is a slice (MIG): torch, which sees one of them, does."""  # field test C2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    job = toy_job(tmp_path / "job").model_copy(update={"device": "cuda"})
    with pytest.raises(ValueError, match="train_dae has 2 GPUs on each node, but torch sees 1"):
        job.start({"gpu": 2, "gpu_model": "a100"}, 4)
    with pytest.raises(ValueError, match=r"asks for 2 slices of a GPU \(1g.5gb\)"):
        job.start({"gpu": 2, "gpu_model": "1g.5gb"}, 4)


def test_a_job_with_one_gpu_or_none_trains_in_this_process(tmp_path: Path) -> None:
    for gpus in (0, 1):
        job = toy_job(tmp_path / str(gpus), broken=True)
        with pytest.raises(ValueError, match="the toy is broken"):
            job.start({"gpu": gpus}, 4)


def test_what_went_wrong_in_a_process_is_in_the_log(tmp_path: Path) -> None:
    job = toy_job(tmp_path / "job", broken=True)
    with pytest.raises(RuntimeError, match="the log above says why"):
        job.start(TWO, 4)
    assert "the toy is broken" in job.log.read_text()
