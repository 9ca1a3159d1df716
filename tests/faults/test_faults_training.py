"""A training that is asked to stop, killed, or robbed of its checkpoints ends with the bytes of one left in peace."""

from pathlib import Path

import pytest

from helpers.cluster import wait_for
from helpers.copies import assert_whole, copy_of
from helpers.faults import Fault, Plan
from helpers.runs import snakemake, started

pytestmark = pytest.mark.slow
WEIGHTS = "results/dae/weights.safetensors"
# As many as the finished run had: on other numbers of threads torch adds in another order.
CORES = "2"
OFTEN: dict[str, dict[str, object]] = {"dae": {"train": {"save_every_s": 1.0e-6}}}


@pytest.fixture
def untrained(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run before its training."""
    return copy_of(finished, tmp_path, "dae")


def checkpoint(step: int) -> str:
    return f"*/state/*/step-{step:08d}.safetensors"


def test_stopped_killed_and_robbed_in_turn(untrained: Path, finished: Path, tmp_path: Path) -> None:
    plan = Plan(
        tmp_path,
        Fault(checkpoint(5), "term"),
        Fault(checkpoint(9), "usr1"),
        Fault(checkpoint(14), "kill"),
        Fault(checkpoint(18), "cut and kill"),
        Fault(checkpoint(22), "zero and kill"),
    )
    run = snakemake(untrained, "--cores", CORES, "--retries", "5", WEIGHTS, config=OFTEN, **plan.environment)
    output = run.stdout + run.stderr
    assert run.returncode == 0, output[-8000:]
    assert plan.all_happened()
    log = (untrained / "logs/train_dae.log").read_text()
    # Step 22 was not finished, 21 was zeroed: the last attempt went on from 20.
    assert "resumed at step 20 of 30" in log
    assert "step-00000021.safetensors is damaged" in log
    # The signal comes while a checkpoint is written; the training does one more step, then stops.
    for stop in ("stopped at step 6 of 30: SIGTERM", "stopped at step 10 of 30: SIGUSR1"):
        assert f"{stop}; the state is saved" in output
    assert_whole(untrained, finished)


def test_requeued_while_the_first_still_trains(untrained: Path, finished: Path, tmp_path: Path) -> None:
    plan = Plan(tmp_path, Fault(checkpoint(10), "wait"))
    with started(untrained, "--cores", CORES, WEIGHTS, config=OFTEN, **plan.environment) as job:
        wait_for(plan.all_happened, "checkpoint 10 of the first training", 300)
        second = snakemake(untrained, "--cores", CORES, "--nolock", "--ignore-incomplete", WEIGHTS, config=OFTEN)
        plan.go()
        status = job.wait(300)
    assert second.returncode != 0
    assert "another process trains here" in second.stdout + second.stderr
    assert status == 0
    assert_whole(untrained, finished)
