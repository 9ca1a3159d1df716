"""A training that is killed, stopped or robbed of its newest checkpoint ends with the weights of one that is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dae.dae_tiny import MODEL, TRAIN, pixels, states
from vertegrade.graders.dae.training import Trainer, train_dae
from vertegrade.settings.dae import DaeTrainSettings
from vertegrade.training.checkpoints import States, load_checkpoint, locked
from vertegrade.training.interruption import Interruption, TrainingInterrupted

ALWAYS = TRAIN.model_copy(update={"save_every_s": 1.0e-9})
# Half of checkpoint 5 is written when the process dies.
KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
import safetensors.torch
from dae.test_dae_resume import ALWAYS, train
save, calls = safetensors.torch.save_file, []
def dying(tensors, path, metadata):
    save(tensors, path, metadata)
    calls.append(path)
    if len(calls) == 5:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = dying
train(Path(sys.argv[1]), ALWAYS)
"""


def train(folder: Path, settings: DaeTrainSettings = ALWAYS, code: str = "one") -> bytes:
    train_dae([pixels()], MODEL, settings, states(folder / "state", code), folder / "w.safetensors", 0, "cpu", 1)
    return (folder / "w.safetensors").read_bytes()


def state_folder(folder: Path) -> Path:
    (found,) = (folder / "state").iterdir()
    return found


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send SIGTERM to this process in the middle of a step."""
    undisturbed = Trainer.train_step

    def train_step(self: Trainer) -> None:
        undisturbed(self)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "train_step", train_step)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return train(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that SIGTERM stopped after 7 of 12 steps."""
    with monkeypatch.context() as context, pytest.raises(TrainingInterrupted) as interrupted:
        stop_at(context, 6)
        train(tmp_path)
    assert interrupted.value.code == 75
    assert not (tmp_path / "w.safetensors").exists()
    return tmp_path


def test_sigterm(stopped: Path, undisturbed: bytes) -> None:
    found = load_checkpoint(state_folder(stopped))
    assert found is not None
    assert found[0] == 7
    assert train(stopped) == undisturbed


def test_kill_within_a_write(tmp_path: Path, undisturbed: bytes) -> None:
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "workflow_scripts")]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), *paths], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(state_folder(tmp_path).glob(".tmp-*"))
    assert train(tmp_path) == undisturbed
    assert not list(state_folder(tmp_path).glob(".tmp-*"))


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "no hash"])
def test_damaged_newest_checkpoint(stopped: Path, undisturbed: bytes, damage: str) -> None:
    newest = sorted(state_folder(stopped).glob("step-*.safetensors"))[-1]
    size = newest.stat().st_size
    if damage == "truncated":
        os.truncate(newest, size - 10)
    elif damage == "zeroed":
        newest.write_bytes(bytes(size))
    else:
        newest.with_suffix(".sha256").unlink()
    found = load_checkpoint(state_folder(stopped))
    assert found is not None
    assert found[0] == 6
    assert train(stopped) == undisturbed


def test_no_whole_checkpoint_starts_from_the_beginning(stopped: Path, undisturbed: bytes) -> None:
    for path in state_folder(stopped).glob("step-*.safetensors"):
        path.write_bytes(b"")
    assert train(stopped) == undisturbed


def test_two_checkpoints_are_kept(stopped: Path) -> None:
    names = sorted(path.name for path in state_folder(stopped).iterdir() if path.name != "lock")
    assert names == [f"step-0000000{n}.{end}" for n in (6, 7) for end in ("safetensors", "sha256")]


def test_state_holds_optimiser_and_average(stopped: Path) -> None:
    tensors = load_file(state_folder(stopped) / "step-00000007.safetensors")
    assert {name.split("/")[0].split(".")[0] for name in tensors} == {"network", "ema", "optimiser"}


def test_other_settings_start_afresh(stopped: Path) -> None:
    before = state_folder(stopped)
    train(stopped, ALWAYS.model_copy(update={"learning_rate": 1.0e-4}))
    assert state_folder(stopped) != before  # and the old one went with the end of the new


def test_a_training_of_other_code_starts_from_nothing_and_says_so(  # field test A1
    stopped: Path, undisturbed: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    undisturbed_step = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", lambda self: (steps.append(self.step), undisturbed_step(self)))
    caplog.set_level("INFO")
    old = state_folder(stopped)
    assert train(stopped, code="another") == undisturbed  # the code is the same but for its name
    assert steps == list(range(12))
    assert f"starting from nothing: the state in {stopped / 'state'} is of other code" in caplog.text
    assert "resumed" not in caplog.text
    assert not old.exists()


MAKER = {"code": "one", "packages": {"torch": "2"}}
TRAINING = {"settings": {"steps": 2}, "seed": 3, "device": "cpu", "inputs": {"crops": "d"}}
OTHERS = {"code": "two", "packages": {"torch": "3"}, "settings": {}, "seed": 4, "device": "cuda", "inputs": {}}


@pytest.mark.parametrize("part", OTHERS)
def test_a_state_is_of_one_code_packages_settings_seed_device_and_inputs(part: str, tmp_path: Path) -> None:  # A1
    def folder(key: dict[str, Any]) -> Path:
        return States(folder=tmp_path, code=key["code"], packages=key["packages"]).of(**{n: key[n] for n in TRAINING})

    assert folder(MAKER | TRAINING) == folder(MAKER | TRAINING)
    assert folder(MAKER | TRAINING | {part: OTHERS[part]}) != folder(MAKER | TRAINING)


def test_a_state_that_another_process_works_on_is_kept(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    with locked(theirs):
        states(tmp_path).keep_only(mine)
        assert theirs.is_dir()
    states(tmp_path).keep_only(mine)
    assert not theirs.exists()


def test_how_often_checkpoints_are_written_is_no_other_training(stopped: Path, undisturbed: bytes) -> None:
    assert train(stopped, TRAIN) == undisturbed
    assert len(list((stopped / "state").iterdir())) == 1


def test_end_of_the_slurm_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 200))
    with pytest.raises(TrainingInterrupted) as interrupted:
        train(tmp_path)
    assert interrupted.value.reason == "SLURM_JOB_END_TIME is near"


def test_usr1_is_heard_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Interruption() as interruption:
        assert interruption.reason() == ""
        os.kill(os.getpid(), signal.SIGUSR1)
        assert interruption.reason() == "SIGUSR1"
    assert signal.getsignal(signal.SIGUSR1) is before


def test_second_training_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RuntimeError, match="another process trains here"), locked(tmp_path):
        pass
