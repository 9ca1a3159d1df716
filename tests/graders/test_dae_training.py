"""Training of the DAE: it learns to use z, it is deterministic, and its weights say how they came about."""

from pathlib import Path

import pytest
import torch

from helpers.tiny_dae import MODEL, TRAIN, pixels, states
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.training import (
    DaeLearning,
    centre_weight,
    learning_rate,
    noise_levels,
    recipe,
    train_dae,
)
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeTrainSettings
from vertegrade.training.loop import Training


def train(folder: Path, settings: DaeTrainSettings = TRAIN, seed: int = 0) -> dict[str, float]:
    return train_dae(
        Crops([pixels()]), MODEL, settings, states(folder / "state"), folder / "w.safetensors", seed, "cpu", 1
    )


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    train(tmp_path / "a"), train(tmp_path / "b"), train(tmp_path / "c", seed=1)
    a, b, c = ((tmp_path / name / "w.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_the_programs_generator_is_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_metrics_of_training(tmp_path: Path) -> None:
    metrics = train(tmp_path)
    assert metrics["steps"] == 12
    assert metrics["bad_steps"] == 0
    assert metrics["loss_ratio"] == metrics["loss_right_z"] / metrics["loss_permuted_z"]
    assert {"crops_per_s", "seconds", "reconstruction_ratio"} <= metrics.keys()


def test_encoder_is_trained_once_the_decoder_has_woken(tmp_path: Path) -> None:
    learning = DaeLearning(Crops([pixels()]), MODEL, TRAIN, 0, "cpu")
    torch.manual_seed(0)
    network = DaeNetwork(MODEL, 16)
    at_work = Training(network, learning.batch, learning.loss, recipe(network, TRAIN), tmp_path, 0)
    first = network.encoder.head.weight
    at_work.train_step()
    assert first.grad is not None
    assert not first.grad.any()  # the last convolutions are zero: known from released code
    for at_work.step in range(1, 6):
        at_work.train_step()
    assert first.grad.abs().max() > 1e-6


@pytest.mark.slow
def test_decoder_learns_to_use_z(tmp_path: Path) -> None:
    steps = TRAIN.model_copy(update={"steps": 150, "batch_size": 12, "high_noise": 1.0})
    metrics = train(tmp_path, steps)
    assert metrics["loss_right_z"] < 0.85 * metrics["loss_permuted_z"]


def test_share_of_high_noise_levels() -> None:
    t = noise_levels(4000, 0.5, torch.Generator().manual_seed(0))
    assert (t.min() >= 0, t.max()) == (True, 999)
    assert (t >= 750).float().mean() == pytest.approx(0.5 + 0.5 * 0.25, abs=0.03)


def test_no_draw_is_rounded_up_beyond_the_last_level(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_one = torch.tensor([1 - 2**-24])  # the largest float32 that torch.rand may return
    draws = iter([torch.zeros(1), nearly_one])
    monkeypatch.setattr(torch, "rand", lambda *_, **__: next(draws))
    assert noise_levels(1, 0.8, torch.Generator()).tolist() == [999]


def test_loss_weight_favours_the_vertebra_and_keeps_the_mean() -> None:
    weight = centre_weight(64, 0.05)
    assert weight.mean() == pytest.approx(1)
    assert weight[0, 0] / weight[32, 32] == pytest.approx(0.05, abs=0.01)
    torch.testing.assert_close(centre_weight(64, 1.0), torch.ones(64, 64))


def test_learning_rate_rises_and_falls() -> None:
    settings = TRAIN.model_copy(update={"steps": 100, "warmup_steps": 9, "learning_rate": 1.0})
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) > 0.95
    assert rates[-1] < 0.001


def test_weights_say_how_they_came_about(tmp_path: Path) -> None:
    train_dae(
        Crops([pixels()]), MODEL, TRAIN, states(tmp_path), tmp_path / "w.safetensors", 5, "cpu", 1, {"patients": "3"}
    )
    dae = load_dae(tmp_path / "w.safetensors")
    assert dae.settings == MODEL
    assert dae.crop_shape == (3, 16, 16)
    assert dae.facts | {"data_sha256": ""} == {
        "data_sha256": "", "seed": "5", "steps": "12", "crops": "12", "patients": "3",
    }  # fmt: skip


def test_no_crop_to_learn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evaluable crop to learn from"):
        train_dae(Crops([pixels()[:0]]), MODEL, TRAIN, states(tmp_path), tmp_path / "w.safetensors", 0, "cpu", 1)
