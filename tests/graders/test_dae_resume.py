"""A stopped training of the DAE goes on to the same bytes; one of other settings or code does not go on from it."""

from pathlib import Path

import pytest

from helpers.stopped_training import stopped_after
from helpers.tiny_dae import DROPPING, TRAIN, pixels, states
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.training import train_dae
from vertegrade.settings.dae import DaeTrainSettings

ALWAYS = TRAIN.model_copy(update={"save_every_s": 1.0e-9})


def train(folder: Path, settings: DaeTrainSettings = ALWAYS, code: str = "one") -> bytes:
    train_dae(
        Crops([pixels()]), DROPPING, settings, states(folder / "state", code), folder / "w.safetensors", 0, "cpu", 1
    )
    return (folder / "w.safetensors").read_bytes()


def state_folder(folder: Path) -> Path:
    (found,) = (folder / "state").iterdir()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return train(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that SIGTERM stopped after 7 of 12 steps."""
    with stopped_after(7, monkeypatch):
        train(tmp_path)
    assert not (tmp_path / "w.safetensors").exists()
    return tmp_path


def test_it_goes_on_to_the_same_bytes(stopped: Path, undisturbed: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert train(stopped, TRAIN) == undisturbed  # how often checkpoints are written is no other training
    assert "resumed at step 7 of 12" in caplog.text
    assert len(list((stopped / "state").iterdir())) == 1


def test_other_settings_start_afresh(stopped: Path) -> None:
    before = state_folder(stopped)
    train(stopped, ALWAYS.model_copy(update={"learning_rate": 1.0e-4}))
    assert state_folder(stopped) != before  # and the old one went with the end of the new


def test_a_training_of_other_code_starts_from_nothing(  # field test A1
    stopped: Path, undisturbed: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    old = state_folder(stopped)
    assert train(stopped, code="another") == undisturbed  # the code is the same but for its name
    assert "starting from the beginning" in caplog.text
    assert "resumed" not in caplog.text
    assert not old.exists()
