"""A training that is killed, stopped or robbed of its newest checkpoint ends with the weights of one that is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.toy_training import same, toy_batch, toy_loss, toy_training, trained
from vertegrade.training.checkpoints import load_checkpoint
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.seeds import own_generators
from vertegrade.training.states import InUseError, locked

Weights = dict[str, Tensor]
# Half of checkpoint 5 is written when the process dies.
KILLED = """
import os, signal, sys
from pathlib import Path
import safetensors.torch
from helpers.toy_training import trained
save, calls = safetensors.torch.save_file, []
def dying(tensors, path, metadata):
    save(tensors, path, metadata)
    calls.append(path)
    if len(calls) == 5:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = dying
trained(Path(sys.argv[1]))
"""


def stopping(step: int) -> tuple[Tensor, Tensor]:
    """Batches, and SIGTERM in the middle of the seventh step."""
    if step == 6:
        os.kill(os.getpid(), signal.SIGTERM)
    return toy_batch(step)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return trained(tmp_path_factory.mktemp("undisturbed"))


def test_compiled_it_learns_the_same(undisturbed: Weights, tmp_path: Path) -> None:
    torch._dynamo.utils.counters.clear()  # of tests before
    with torch._inductor.config.patch(fallback_random=True):  # the same dropout in both
        compiled = trained(tmp_path, compiled=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for name, value in undisturbed.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Folder of a training that SIGTERM stopped after 7 of 12 steps."""
    with pytest.raises(TrainingInterrupted) as interrupted:
        trained(tmp_path, batch=stopping)
    assert interrupted.value.code == 75
    assert interrupted.value.reason == "SIGTERM"
    return tmp_path


def test_the_seed_makes_the_weights(tmp_path: Path, undisturbed: Weights) -> None:
    assert same(trained(tmp_path / "again"), undisturbed)
    assert not same(trained(tmp_path / "other", seed=4), undisturbed)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    with own_generators(3, "cpu"):
        training = toy_training(tmp_path, steps=300, save_every_s=60)
        before = toy_loss(training.network.eval(), *toy_batch(0)).item()
        training.network.train()
        metrics = training.run()
    assert toy_loss(training.network.eval(), *toy_batch(0)).item() < 0.5 * before
    assert metrics.keys() == {"steps", "seconds", "bad_steps", "loss"}
    assert (metrics["steps"], metrics["bad_steps"]) == (300, 0)


def test_sigterm(stopped: Path, undisturbed: Weights, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    found = load_checkpoint(stopped)
    assert found is not None
    assert found[0] == 7
    assert same(trained(stopped), undisturbed)
    assert f"resumed at step 7 of 12 from {stopped}" in caplog.text


def test_a_training_that_has_ended_is_not_trained_again(stopped: Path, undisturbed: Weights) -> None:
    trained(stopped)
    assert same(trained(stopped, batch=lambda step: pytest.fail("a step more")), undisturbed)


def test_kill_within_a_write(tmp_path: Path, undisturbed: Weights) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".tmp-*"))
    assert same(trained(tmp_path), undisturbed)
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "no hash"])
def test_damaged_newest_checkpoint(
    stopped: Path, undisturbed: Weights, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    newest = sorted(stopped.glob("step-*.safetensors"))[-1]
    size = newest.stat().st_size
    if damage == "truncated":
        os.truncate(newest, size - 10)
    elif damage == "zeroed":
        newest.write_bytes(bytes(size))
    else:
        newest.with_suffix(".sha256").unlink()
    found = load_checkpoint(stopped)
    assert found is not None
    assert found[0] == 6
    assert "step-00000007.safetensors is damaged" in caplog.text
    assert same(trained(stopped), undisturbed)


def test_no_whole_checkpoint_starts_from_the_beginning(stopped: Path, undisturbed: Weights) -> None:
    for path in stopped.glob("step-*.safetensors"):
        path.write_bytes(b"")
    assert same(trained(stopped), undisturbed)


def test_two_checkpoints_are_kept(stopped: Path) -> None:
    names = sorted(path.name for path in stopped.iterdir() if path.name != "lock")
    assert names == [f"step-0000000{n}.{end}" for n in (6, 7) for end in ("safetensors", "sha256")]


def test_how_often_checkpoints_are_written_changes_nothing(tmp_path: Path, undisturbed: Weights) -> None:
    assert same(trained(tmp_path, save_every_s=60), undisturbed)
    assert [path.name for path in tmp_path.glob("step-*.safetensors")] == ["step-00000012.safetensors"]


def test_a_stop_saves_whatever_the_time_since_the_last_checkpoint(tmp_path: Path, undisturbed: Weights) -> None:
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path, batch=stopping, save_every_s=60)
    assert [path.name for path in tmp_path.glob("step-*.safetensors")] == ["step-00000007.safetensors"]
    assert same(trained(tmp_path), undisturbed)


def test_the_learning_rate_is_that_of_the_step(tmp_path: Path) -> None:
    steps: list[int] = []
    with own_generators(3, "cpu"):
        training = toy_training(tmp_path, learning_rate=lambda step: float(steps.append(step) or 0))
        before = [weight.clone() for weight in training.network.parameters()]
        training.run()
    assert sorted(set(steps)) == list(range(12))
    assert all(torch.equal(a, b) for a, b in zip(training.network.parameters(), before, strict=True))


def test_end_of_the_slurm_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 200))
    with pytest.raises(TrainingInterrupted) as interrupted:
        trained(tmp_path)
    assert interrupted.value.reason == "SLURM_JOB_END_TIME is near"


def test_usr1_is_heard_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Interruption() as interruption:
        assert interruption.reason() == ""
        os.kill(os.getpid(), signal.SIGUSR1)
        assert interruption.reason() == "SIGUSR1"
    assert signal.getsignal(signal.SIGUSR1) is before


def damaged(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return toy_loss(network, x, y) * float("nan")


def test_damaged_loss_is_skipped_and_counted(tmp_path: Path) -> None:
    with own_generators(3, "cpu"):
        training = toy_training(tmp_path, loss=damaged)
        before = [weight.clone() for weight in training.network.parameters()]
        training.train_step()
    assert training.facts["bad_steps"] == 1
    assert all(torch.equal(a, b) for a, b in zip(training.network.parameters(), before, strict=True))


def test_training_gives_up_after_too_many_damaged_losses(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="3 training steps had a non-finite loss: look for damaged toys"):
        trained(tmp_path, loss=damaged)


def test_second_training_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InUseError, match="another process trains here"):
        trained(tmp_path)
