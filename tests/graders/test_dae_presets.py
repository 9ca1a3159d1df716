"""The published presets build, train a step, are stopped, and resume: with all parameters, and at 128 px narrower."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from helpers.tiny_dae import states
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.training import train_dae
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeModelSettings, DaeSettings
from vertegrade.training.loop import Training

PRESETS = Path(__file__).parents[2] / "presets"


def preset(name: str) -> DaeSettings:
    return DaeSettings.model_validate(yaml.safe_load((PRESETS / f"{name}.yaml").read_text())["dae"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "narrower"), [
    # All parameters (128.5 million of the larger one) on small crops: attention on maps of the same level as in use.
    ("dae64", 32, {"attention_resolutions": [8]}),
    ("dae128", 32, {"attention_resolutions": [4]}),
    ("dae128", 128, {"channels": 16, "encoder_channels": 16, "z_dim": 64, "embedding": 64}),
])  # fmt: skip
def test_preset_trains_a_step_and_resumes(
    name: str, size: int, narrower: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = preset(name)
    model = DaeModelSettings.model_validate(settings.model.model_dump() | narrower)
    train = settings.train.model_copy(update={"steps": 2, "batch_size": 1})
    pixels = np.random.default_rng(0).integers(-200, 800, (2, 5, size, size)).astype(np.int16)
    steps = []

    def train_step(self: Training, original=Training.train_step) -> None:  # type: ignore[no-untyped-def]
        original(self)
        steps.append(self.step)
        if self.step == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def run() -> None:
        train_dae(Crops([pixels]), model, train, states(tmp_path / "state"), tmp_path / "w.safetensors", 0, "cpu", 2)

    monkeypatch.setattr(Training, "train_step", train_step)
    with pytest.raises(SystemExit):
        run()
    run()
    assert steps == [0, 1]
    assert encode(load_dae(tmp_path / "w.safetensors"), [pixels], 2).shape == (2, model.z_dim)
