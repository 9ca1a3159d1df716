"""A state belongs to one training: code, packages, settings, seed, device and inputs."""

from pathlib import Path
from typing import Any

import pytest

from vertegrade.training.states import States, locked

MAKER = {"code": "one", "packages": {"torch": "2"}}
TRAINING = {"settings": {"steps": 2}, "seed": 3, "device": "cpu", "inputs": {"crops": "d"}}
OTHERS = {"code": "two", "packages": {"torch": "3"}, "settings": {}, "seed": 4, "device": "cuda", "inputs": {}}


def folder(parent: Path, key: dict[str, Any]) -> Path:
    return States(folder=parent, code=key["code"], packages=key["packages"]).of(**{n: key[n] for n in TRAINING})


@pytest.mark.parametrize("part", OTHERS)
def test_another_training_has_another_folder_and_says_so(  # field test A1
    part: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    mine = folder(tmp_path, MAKER | TRAINING)
    mine.mkdir()
    assert folder(tmp_path, MAKER | TRAINING) == mine
    assert not caplog.text
    assert folder(tmp_path, MAKER | TRAINING | {part: OTHERS[part]}) != mine
    assert f"starting from nothing: the state in {tmp_path} is of other code" in caplog.text


def test_other_states_go_but_not_one_that_another_process_works_on(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    states = States.model_validate({"folder": tmp_path} | MAKER)
    with locked(theirs):
        states.keep_only(mine)
        assert theirs.is_dir()
    states.keep_only(mine)
    assert not theirs.exists()
    assert mine.is_dir()
